//! Texts that are too long or hold control characters, and errors that are
//! ours and not the database's.

use crate::world::{World, launch, outcome, task, upload};
use contract::{
    api::{Filter, Outcome, RetryWhich, Role, WaitReason, WaitingFor},
    state::TaskState,
};
use engine::store::{Ending, Error, GridQuery, JobQuery};

pub async fn a_text_that_no_database_keeps_is_refused_and_nothing_is_stored(world: World) {
    let (store, user) = (&world.store, world.user);
    let long = "x".repeat(1_000_000);
    for bad in ["a\0b", "a\u{1b}b", long.as_str()] {
        let text = |done: Result<(), Error>| match done {
            Err(Error::Text(error)) => error.to_string(),
            other => panic!("{:?}: {other:?}", &bad[..3]),
        };
        let title = upload(user, 1);
        let title = engine::store::Accept { title: bad.into(), ..title };
        text(store.accept(title).await.map(drop));
        let mut key = upload(user, 1);
        key.idempotency = Some((bad.into(), "hash".into()));
        text(store.accept(key).await.map(drop));
        text(store.accept(launch(user, vec![task(bad, 0)])).await.map(drop));
        text(store.account(bad).await.map(drop));
        text(store.invite(user, bad, Role::User, "hash").await);
        text(store.add_token(user, bad, "hash").await.map(drop));
        text(store.search_jobs(user, bad, 10).await.map(drop));
        text(store.search_items(user, bad, 10).await.map(drop));
        let words = JobQuery { words: Some(bad.into()), limit: 10, ..JobQuery::default() };
        text(store.find_jobs(user, words).await.map(drop));
    }
    // Where an edge forgets a field, the store names none and refuses it too.
    let error = store.add_session("a\0b", user, 0).await.unwrap_err();
    assert!(matches!(error, Error::Text(_)), "{error:?}");
    assert_eq!(store.jobs(user, None, 10).await.unwrap().items, []);
    assert_eq!(store.tokens(user).await.unwrap(), []);

    let job = store.accept(upload(user, 1)).await.unwrap().job.id;
    let query = GridQuery { filter: Filter::All, words: "a\0".into(), offset: 0, limit: 9 };
    let error = store.grid(user, job, &query).await.unwrap_err();
    let words = "The search has a control character (U+0000) as its character 2. Remove it.";
    assert_eq!(error.to_string(), words);
    let which = RetryWhich { channel: Some("a\0".into()), tasks: None };
    let error = store.retry(user, job, &which).await.unwrap_err();
    assert!(matches!(error, Error::Text(_)), "{error:?}");
    world.check().await;
}

pub async fn what_an_outside_service_said_is_kept_cleaned_and_cut(world: World) {
    let (store, user) = (&world.store, world.user);
    let job = store.accept(upload(user, 1)).await.unwrap().job.id;
    let said = Outcome {
        code: format!("c\0{}", "o".repeat(1_000_000)),
        message: format!("no\0 {}", "m".repeat(1_000_000)),
        reference: Some("r\u{1b}".repeat(1_000_000)),
    };
    let waiting_for = WaitingFor {
        reason: WaitReason::Closed,
        until: None,
        detail: Some(format!("w\0{}", "d".repeat(1_000_000))),
    };
    let claimed = world.claim_next().await.unwrap();
    let until = store.now_ms();
    let wait = Ending::Wait { outcome: said.clone(), waiting_for, until, memo: None, quiet: false };
    world.finish(&claimed, wait).await;
    let waits = store.tasks(user, job, None, 1).await.unwrap().remove(0);
    let detail = waits.waiting_for.unwrap().detail.unwrap();
    assert_eq!((&detail[..4], detail.chars().count()), ("w\u{fffd}", 1_000));

    let claimed = world.claim_next().await.unwrap();
    world.finish(&claimed, Ending::Failed { outcome: said }).await;
    let failed = store.tasks(user, job, None, 1).await.unwrap().remove(0);
    assert_eq!(failed.state, TaskState::Failed);
    let kept = failed.outcome.unwrap();
    assert_eq!((&kept.code[..4], kept.code.chars().count()), ("c\u{fffd}", 64));
    assert_eq!((&kept.message[..5], kept.message.chars().count()), ("no\u{fffd}", 1_000));
    assert_eq!(kept.reference.map(|id| id.chars().count()), Some(255));
    store.close_account("acme", until, &"c\0".repeat(1_000)).await.unwrap();
    let closing = store.closing("acme").await.unwrap().unwrap();
    assert_eq!(closing.by.map(|by| by.chars().count()), Some(64));
    let bytes = b"{\0".repeat(1_000_000);
    store.reject_message("q", &bytes, &"why\0".repeat(1_000_000)).await.unwrap();
    world.check().await;
}

pub async fn an_error_of_ours_is_told_from_one_of_the_database(world: World) {
    let (store, user) = (&world.store, world.user);
    store.add_session("hash", user, 0).await.unwrap();
    let twice = store.add_session("hash", user, 0).await.unwrap_err();
    assert!(twice.is_defect(), "{twice:?}");
    assert!(twice.public_message().starts_with("Our own code failed"), "{twice:?}");
    world.execute("ALTER TABLE api_tokens RENAME TO elsewhere").await;
    let gone = store.tokens(user).await.unwrap_err();
    assert!(gone.is_defect(), "{gone:?}");
    world.execute("ALTER TABLE elsewhere RENAME TO api_tokens").await;

    store.accept(upload(user, 1)).await.unwrap();
    world.execute("UPDATE jobs SET channels = 'nonsense'").await;
    let unreadable = store.jobs(user, None, 1).await.unwrap_err();
    assert!(unreadable.is_defect(), "{unreadable:?}");
    for theirs in [Error::NotFound, Error::KeyReused, Error::Conflict(outcome("no").message)] {
        assert!(!theirs.is_defect(), "{theirs:?}");
    }
}
