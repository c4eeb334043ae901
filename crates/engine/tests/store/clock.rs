//! The database's clock is set forward by a day, and back.

use crate::fixture::{QUEUE, StoreFixture, new_job, new_upload_job, outcome, task};
use contract::{UserId, api::CooldownReason, state::JobState};
use engine::store::{AttemptError, Claim, DEFAULT_LEASE_MS, RoundRobin, Store};
use std::time::Duration;

const DAY_MS: i64 = 24 * 3_600_000;
const LEADER_TERM: Duration = Duration::from_secs(6);
/// Maximum back-off after a first attempt, in milliseconds.
const BACK_OFF: i64 = 2_000;

async fn count_due_tasks(store: &Store) -> usize {
    store.tasks.due_tasks(QUEUE, 100, &RoundRobin::default()).await.unwrap().tasks.len()
}

pub async fn delays_survive_a_clock_that_was_set_back(fixture: StoreFixture) {
    fixture.clock.advance(DAY_MS);
    assert_eq!(fixture.store.database.sync_clock().await.unwrap(), None);
    fixture.store.tasks.accept(new_upload_job(fixture.user, 4)).await.unwrap();
    let retried = fixture.claim_next().await.unwrap();
    let retry = Err(AttemptError::Retry { outcome: outcome("http_500"), outcome_unknown: false });
    fixture.finish(&retried, retry).await;
    let running = fixture.claim_next().await.unwrap();
    let published = fixture
        .store
        .tasks
        .due_tasks(QUEUE, 1, &RoundRobin::default())
        .await
        .unwrap()
        .tasks
        .remove(0);
    fixture
        .store
        .tasks
        .mark_published(&[(published.task, published.fence)], &[], None)
        .await
        .unwrap();
    fixture
        .store
        .coordination
        .record_cooldown(
            "acme",
            fixture.store.database.now_ms() + 60_000,
            CooldownReason::ServiceUnavailable,
            None,
        )
        .await
        .unwrap();
    assert!(
        fixture
            .store
            .coordination
            .acquire_leader_lease("relay", "gone", LEADER_TERM)
            .await
            .unwrap()
    );

    fixture.clock.advance(-DAY_MS);
    assert_eq!(fixture.store.database.sync_clock().await.unwrap(), Some(DAY_MS));
    assert_eq!(
        fixture.other_store.database.sync_clock().await.unwrap(),
        None,
        "timestamps are repaired only once"
    );
    let now = fixture.store.database.now_ms();
    let until = fixture.store.coordination.last_cooldown("acme").await.unwrap().unwrap().until;
    assert_eq!(until - now, 60_000, "the remaining cooldown is the same");
    assert!(
        fixture.store.coordination.acquire_leader_lease("relay", "new", LEADER_TERM).await.unwrap()
    );
    // The delivery in flight remains valid.
    let claim = fixture.store.tasks.claim(published.task, published.fence, "w1").await.unwrap();
    assert!(matches!(claim, Claim::Claimed(_)), "{claim:?}");
    assert_eq!(count_due_tasks(&fixture.store).await, 1);
    fixture.clock.advance(BACK_OFF);
    assert_eq!(count_due_tasks(&fixture.store).await, 2, "the retry is due");
    fixture.clock.advance(DEFAULT_LEASE_MS - BACK_OFF);
    assert_eq!(
        fixture.store.tasks.reap_expired_leases(false).await.unwrap().len(),
        2,
        "its worker is lost"
    );
    assert!(!fixture.store.tasks.renew_lease(running.id, running.fence).await.unwrap());
    fixture.assert_consistent().await;
}

pub async fn tasks_published_before_the_clock_was_set_back_are_republished(fixture: StoreFixture) {
    fixture.clock.advance(DAY_MS);
    fixture.store.database.sync_clock().await.unwrap();
    fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
    let sent = fixture
        .store
        .tasks
        .due_tasks(QUEUE, 1, &RoundRobin::default())
        .await
        .unwrap()
        .tasks
        .remove(0);
    fixture.store.tasks.mark_published(&[(sent.task, sent.fence)], &[], None).await.unwrap();
    fixture.clock.advance(-DAY_MS);
    fixture.store.database.sync_clock().await.unwrap();
    // Its message is lost.
    fixture.clock.advance(2 * DEFAULT_LEASE_MS + 1);
    let lost = fixture.store.database.now_ms() - 2 * DEFAULT_LEASE_MS;
    assert_eq!(fixture.store.tasks.unpublish_tasks(QUEUE, lost).await.unwrap(), 1);
    assert_eq!(count_due_tasks(&fixture.store).await, 1);
}

pub async fn jobs_accepted_after_the_clock_was_set_back_are_newer(fixture: StoreFixture) {
    let once = async |user: UserId| {
        fixture.store.tasks.accept(new_job(user, vec![task("SKU-1", 0)])).await.unwrap().job
    };
    fixture.clock.advance(DAY_MS);
    fixture.store.database.sync_clock().await.unwrap();
    once(fixture.user).await;
    let ahead = fixture.claim_next().await.unwrap();
    fixture.succeed(&ahead).await;
    fixture.clock.advance(-DAY_MS);
    fixture.store.database.sync_clock().await.unwrap();
    fixture.clock.advance(1);
    let newer = once(fixture.user).await;
    let claimed = fixture.claim_next().await.unwrap();
    fixture.succeed(&claimed).await;
    let ended = fixture.store.jobs.job(fixture.user, newer.id).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded, "it does not count as the older one");
}
