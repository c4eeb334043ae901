//! The slowest tasks of a job.

use crate::fixture::{StoreFixture, new_upload_job, outcome};
use contract::{api::Role, fact::FactKind};
use engine::store::AttemptError;

pub async fn the_slowest_tasks_of_a_job_come_first(fixture: StoreFixture) {
    let store = &fixture.store;
    let job = store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap().job.id;
    let fast = fixture.claim_next().await.unwrap();
    fixture.clock.advance(1_000);
    fixture.succeed(&fast).await;
    let slow = fixture.claim_next().await.unwrap();
    fixture.clock.advance(5_000);
    fixture.finish(&slow, Err(AttemptError::Rejected(outcome("no")))).await;
    fixture.clock.advance(1_000);
    let slowest = store.jobs.slowest_tasks(fixture.user, job, 2).await.unwrap();
    let took: Vec<_> =
        slowest.iter().map(|timed| (timed.task.state.as_str(), timed.attempts.len())).collect();
    // One that still waits is the slowest.
    assert_eq!(took, [("queued", 0), ("rejected", 1)]);
    assert_eq!(slowest[1].task.updated_at - slowest[1].created_at, 6_000);
    let ids: Vec<_> = slowest.iter().map(|timed| timed.task.id).collect();
    fixture.execute("UPDATE journal SET traceparent = '00-1-2-01'").await;
    let facts = store.journal.facts_of_tasks(fixture.user, job, &ids).await.unwrap();
    let kinds: Vec<_> = facts.iter().map(|fact| (fact.kind, fact.task)).collect();
    assert_eq!(kinds, [(FactKind::TaskRejected, Some(slow.id))]);
    assert_eq!(facts[0].traceparent.as_deref(), Some("00-1-2-01"));

    let bob = fixture.add_user("bob@example.com", Role::User).await;
    assert_eq!(store.jobs.slowest_tasks(bob, job, 2).await.unwrap(), []);
    assert_eq!(store.journal.facts_of_tasks(bob, job, &ids).await.unwrap(), []);
}
