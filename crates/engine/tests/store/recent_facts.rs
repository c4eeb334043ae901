//! What the newest facts say about the flows between events.

use crate::fixture::{StoreFixture, finish, new_upload_job, success};
use contract::{
    api::Role,
    command::{Command, ProductUpload},
    fact::FactKind,
};
use engine::store::{AttemptError, FactCount, QueueReader};

pub async fn recent_facts_are_counted_by_command_for_their_reader(fixture: StoreFixture) {
    let ada = fixture.user;
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let store = &fixture.store;
    store.tasks.accept(new_upload_job(ada, 2)).await.unwrap();
    for result in [Err(AttemptError::retry("http_500", "It answered 500.")), success()] {
        let claimed = fixture.claim_next().await.unwrap();
        store.tasks.finish(vec![finish(&claimed, result)]).await.remove(0).unwrap();
    }
    let early = store.database.now_ms();
    fixture.clock.advance(5_000);
    store.tasks.accept(new_upload_job(bob, 1)).await.unwrap();
    let counts = async |user, sees_all, since| {
        let reader = QueueReader { user, sees_all };
        store.journal.recent_fact_counts(reader, since).await.unwrap()
    };
    let count = |fact, command: Option<&str>, count| FactCount {
        fact,
        command: command.map(str::to_owned),
        cause: None,
        count,
    };
    let upload = Some(ProductUpload::KIND);
    let (accepted, requeued, succeeded) = (
        count(FactKind::JobAccepted, None, 1),
        count(FactKind::TaskRequeued, upload, 1),
        count(FactKind::TaskSucceeded, upload, 1),
    );
    let expected = [accepted.clone(), requeued.clone(), succeeded.clone()];
    assert_eq!(counts(ada, false, 0).await, expected);
    assert_eq!(counts(bob, false, 0).await, std::slice::from_ref(&accepted));
    let all = [FactCount { count: 2, ..accepted.clone() }, requeued, succeeded];
    assert_eq!(counts(bob, true, 0).await, all);
    assert_eq!(counts(ada, true, early + 1).await, [accepted], "what was before is not counted");
}

pub async fn the_last_facts_of_an_event_are_those_of_their_reader(fixture: StoreFixture) {
    let ada = fixture.user;
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let store = &fixture.store;
    store.tasks.accept(new_upload_job(ada, 2)).await.unwrap();
    for _ in 0..2 {
        let claimed = fixture.claim_next().await.unwrap();
        store.tasks.finish(vec![finish(&claimed, success())]).await.remove(0).unwrap();
        fixture.clock.advance(10);
    }
    let last = async |user, sees_all, event: &str, limit| {
        let reader = QueueReader { user, sees_all };
        let seen = store.journal.last_facts(reader, event, limit).await.unwrap();
        seen.iter().map(|seen| (seen.fact, seen.at, seen.task.is_some())).collect::<Vec<_>>()
    };
    let of_command = last(ada, false, ProductUpload::KIND, 10).await;
    assert_eq!(of_command.len(), 2);
    assert!(of_command[0].1 > of_command[1].1, "newest first: {of_command:?}");
    assert_eq!(last(ada, false, "task.succeeded", 1).await, [of_command[0]]);
    let finished = last(ada, false, "job.finished", 10).await;
    assert_eq!(
        finished.iter().map(|(fact, _, task)| (*fact, *task)).collect::<Vec<_>>(),
        [(FactKind::JobFinished, false)]
    );
    assert_eq!(last(bob, false, "job.finished", 10).await, []);
    assert_eq!(last(bob, true, "job.finished", 10).await, finished);
    let reader = QueueReader { user: ada, sees_all: false };
    let seen = store.journal.last_facts(reader, "job.finished", 1).await.unwrap().remove(0);
    assert_eq!(seen.owner, ada);
    assert!(seen.job.is_some_and(|(_, title)| !title.is_empty()));
}
