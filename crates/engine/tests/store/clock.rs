//! The database's clock is set forward by a day, and back.

use crate::world::{QUEUE, World, new_job, new_upload_job, outcome, task};
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

pub async fn delays_survive_a_clock_that_was_set_back(world: World) {
    world.clock.advance(DAY_MS);
    assert_eq!(world.store.database.sync_clock().await.unwrap(), None);
    world.store.tasks.accept(new_upload_job(world.user, 4)).await.unwrap();
    let retried = world.claim_next().await.unwrap();
    let retry = Err(AttemptError::Retry { outcome: outcome("http_500"), outcome_unknown: false });
    world.finish(&retried, retry).await;
    let running = world.claim_next().await.unwrap();
    let published = world
        .store
        .tasks
        .due_tasks(QUEUE, 1, &RoundRobin::default())
        .await
        .unwrap()
        .tasks
        .remove(0);
    world
        .store
        .tasks
        .mark_published(&[(published.task, published.fence)], &[], None)
        .await
        .unwrap();
    world
        .store
        .coordination
        .record_cooldown(
            "acme",
            world.store.database.now_ms() + 60_000,
            CooldownReason::ServiceUnavailable,
        )
        .await
        .unwrap();
    assert!(
        world.store.coordination.acquire_leader_lease("relay", "gone", LEADER_TERM).await.unwrap()
    );

    world.clock.advance(-DAY_MS);
    assert_eq!(world.store.database.sync_clock().await.unwrap(), Some(DAY_MS));
    assert_eq!(
        world.other_store.database.sync_clock().await.unwrap(),
        None,
        "timestamps are repaired only once"
    );
    let now = world.store.database.now_ms();
    let until = world.store.coordination.last_cooldown("acme").await.unwrap().unwrap().until;
    assert_eq!(until - now, 60_000, "the remaining cooldown is the same");
    assert!(
        world.store.coordination.acquire_leader_lease("relay", "new", LEADER_TERM).await.unwrap()
    );
    // The delivery in flight remains valid.
    let claim = world.store.tasks.claim(published.task, published.fence, "w1").await.unwrap();
    assert!(matches!(claim, Claim::Claimed(_)), "{claim:?}");
    assert_eq!(count_due_tasks(&world.store).await, 1);
    world.clock.advance(BACK_OFF);
    assert_eq!(count_due_tasks(&world.store).await, 2, "the retry is due");
    world.clock.advance(DEFAULT_LEASE_MS - BACK_OFF);
    assert_eq!(
        world.store.tasks.reap_expired_leases(false).await.unwrap().len(),
        2,
        "its worker is lost"
    );
    assert!(!world.store.tasks.renew_lease(running.task, running.fence).await.unwrap());
    world.assert_consistent().await;
}

pub async fn tasks_published_before_the_clock_was_set_back_are_republished(world: World) {
    world.clock.advance(DAY_MS);
    world.store.database.sync_clock().await.unwrap();
    world.store.tasks.accept(new_upload_job(world.user, 1)).await.unwrap();
    let sent = world
        .store
        .tasks
        .due_tasks(QUEUE, 1, &RoundRobin::default())
        .await
        .unwrap()
        .tasks
        .remove(0);
    world.store.tasks.mark_published(&[(sent.task, sent.fence)], &[], None).await.unwrap();
    world.clock.advance(-DAY_MS);
    world.store.database.sync_clock().await.unwrap();
    // Its message is lost.
    world.clock.advance(2 * DEFAULT_LEASE_MS + 1);
    let lost = world.store.database.now_ms() - 2 * DEFAULT_LEASE_MS;
    assert_eq!(world.store.tasks.unpublish_tasks(QUEUE, lost).await.unwrap(), 1);
    assert_eq!(count_due_tasks(&world.store).await, 1);
}

pub async fn jobs_accepted_after_the_clock_was_set_back_are_newer(world: World) {
    let once = async |user: UserId| {
        world.store.tasks.accept(new_job(user, vec![task("SKU-1", 0)])).await.unwrap().job
    };
    world.clock.advance(DAY_MS);
    world.store.database.sync_clock().await.unwrap();
    once(world.user).await;
    let ahead = world.claim_next().await.unwrap();
    world.succeed(&ahead).await;
    world.clock.advance(-DAY_MS);
    world.store.database.sync_clock().await.unwrap();
    world.clock.advance(1);
    let newer = once(world.user).await;
    let claimed = world.claim_next().await.unwrap();
    world.succeed(&claimed).await;
    let ended = world.store.jobs.job(world.user, newer.id).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded, "it does not count as the older one");
}
