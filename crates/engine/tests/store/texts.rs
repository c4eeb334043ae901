//! Texts that are too long or contain control characters, and errors that are our
//! own and not the database's.

use crate::fixture::{StoreFixture, new_job, new_upload_job, task};
use contract::{
    api::{CooldownReason, GridFilter, Outcome, RetryRequest, Role},
    state::TaskState,
};
use engine::store::{AttemptError, Conflict, Error, GridQuery, JobQuery, TokenTerms};
use std::time::Duration;

pub async fn texts_that_cannot_be_stored_are_refused_whole(fixture: StoreFixture) {
    let (store, user) = (&fixture.store, fixture.user);
    let long = "x".repeat(1_000_000);
    for bad in ["a\0b", "a\u{1b}b", long.as_str()] {
        let assert_text_error = |result: Result<(), Error>| match result {
            Err(Error::Text(error)) => error.to_string(),
            other => panic!("{:?}: {other:?}", &bad[..3]),
        };
        let title = new_upload_job(user, 1);
        let title = engine::store::NewJob { title: bad.into(), ..title };
        assert_text_error(store.tasks.accept(title).await.map(drop));
        let mut key = new_upload_job(user, 1);
        key.idempotency = Some((bad.into(), "hash".into()));
        assert_text_error(store.tasks.accept(key).await.map(drop));
        assert_text_error(store.tasks.accept(new_job(user, vec![task(bad, 0)])).await.map(drop));
        assert_text_error(store.accounts.user_account_by_email(bad).await.map(drop));
        assert_text_error(store.accounts.invite_user(user, bad, Role::User, "hash").await);
        assert_text_error(
            store.accounts.add_token(user, bad, "hash", TokenTerms::default()).await.map(drop),
        );
        assert_text_error(store.jobs.search_jobs(user, bad, 10).await.map(drop));
        assert_text_error(store.jobs.search_items(user, bad, 10).await.map(drop));
        let job_query =
            JobQuery { search_text: Some(bad.into()), limit: 10, ..JobQuery::default() };
        assert_text_error(store.jobs.find_jobs(user, job_query).await.map(drop));
    }
    // Where a caller forgets to check a field, the store rejects it too, without
    // its name.
    let error = store.accounts.add_session("a\0b", user, 0).await.unwrap_err();
    assert!(matches!(error, Error::Text(_)), "{error:?}");
    assert_eq!(store.jobs.jobs(user, None, 10).await.unwrap().items, []);
    assert_eq!(store.accounts.tokens(user).await.unwrap(), []);

    let job = store.tasks.accept(new_upload_job(user, 1)).await.unwrap().job.id;
    let query =
        GridQuery { filter: GridFilter::All, search_text: "a\0".into(), offset: 0, limit: 9 };
    let error = store.jobs.job_grid(user, job, &query).await.unwrap_err();
    let message = "The search has a control character (U+0000) as its character 2. Remove it.";
    assert_eq!(error.to_string(), message);
    let which = RetryRequest { channel: Some("a\0".into()), ..RetryRequest::default() };
    let error = store.tasks.retry_tasks(user, job, &which).await.unwrap_err();
    assert!(matches!(error, Error::Text(_)), "{error:?}");
    fixture.assert_consistent().await;
}

pub async fn texts_of_outside_services_are_sanitized_and_truncated(fixture: StoreFixture) {
    let (store, user) = (&fixture.store, fixture.user);
    let job = store.tasks.accept(new_upload_job(user, 1)).await.unwrap().job.id;
    let outcome_text = Outcome {
        code: format!("c\0{}", "o".repeat(1_000_000)),
        message: format!("no\0 {}", "m".repeat(1_000_000)),
        reference: Some("r\u{1b}".repeat(1_000_000)),
    };
    let claimed = fixture.claim_next().await.unwrap();
    let reason = CooldownReason::TooManyRequests;
    let cooldown = AttemptError::cooldown(outcome_text.clone(), reason, Duration::ZERO);
    fixture.finish(&claimed, Err(cooldown)).await;
    let waits = store.jobs.tasks(user, job, None, 1).await.unwrap().remove(0);
    let detail = waits.waiting_for.unwrap().detail.unwrap();
    assert_eq!((&detail[..5], detail.chars().count()), ("no\u{fffd}", 1_000));

    let claimed = fixture.claim_next().await.unwrap();
    fixture.finish(&claimed, Err(AttemptError::Failed(outcome_text))).await;
    let failed = store.jobs.tasks(user, job, None, 1).await.unwrap().remove(0);
    assert_eq!(failed.state, TaskState::Failed);
    let stored = failed.outcome.unwrap();
    assert_eq!((&stored.code[..4], stored.code.chars().count()), ("c\u{fffd}", 64));
    assert_eq!((&stored.message[..5], stored.message.chars().count()), ("no\u{fffd}", 1_000));
    assert_eq!(stored.reference.map(|id| id.chars().count()), Some(255));
    let bytes = b"{\0".repeat(1_000_000);
    store.tasks.save_rejected_message("q", &bytes, &"why\0".repeat(1_000_000)).await.unwrap();
    fixture.assert_consistent().await;
}

pub async fn defects_are_distinguished_from_database_errors(fixture: StoreFixture) {
    let (store, user) = (&fixture.store, fixture.user);
    store.accounts.add_session("hash", user, 0).await.unwrap();
    let twice = store.accounts.add_session("hash", user, 0).await.unwrap_err();
    assert!(twice.is_defect(), "{twice:?}");
    assert!(twice.public_message().starts_with("Our own code failed"), "{twice:?}");
    fixture.execute("ALTER TABLE api_tokens RENAME TO elsewhere").await;
    let missing_table = store.accounts.tokens(user).await.unwrap_err();
    assert!(missing_table.is_defect(), "{missing_table:?}");
    fixture.execute("ALTER TABLE elsewhere RENAME TO api_tokens").await;

    store.tasks.accept(new_upload_job(user, 1)).await.unwrap();
    fixture.execute("UPDATE jobs SET channels = 'nonsense'").await;
    let unreadable = store.jobs.jobs(user, None, 1).await.unwrap_err();
    assert!(unreadable.is_defect(), "{unreadable:?}");
    for not_ours in [Error::NotFound, Error::KeyReused, Error::Conflict(Conflict::JobEnded)] {
        assert!(!not_ours.is_defect(), "{not_ours:?}");
    }
}
