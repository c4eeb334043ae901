//! The database's clock is set forward by a day, and back.

use crate::world::{QUEUE, World, launch, outcome, task, upload};
use contract::{UserId, state::JobState};
use engine::store::{Claim, Ending, LEASE_MS, Store, Turns};

const DAY_MS: i64 = 24 * 3_600_000;
/// The longest wait after a first attempt.
const BACK_OFF: i64 = 2_000;

async fn due(store: &Store) -> usize {
    store.due(QUEUE, 100, &Turns::default()).await.unwrap().tasks.len()
}

pub async fn what_was_to_wait_for_seconds_does_not_wait_for_a_day(world: World) {
    world.clock.advance(DAY_MS);
    assert_eq!(world.store.follow_clock().await.unwrap(), None);
    world.store.accept(upload(world.user, 4)).await.unwrap();
    let retried = world.claim_next().await.unwrap();
    let retry = Ending::Retry { outcome: outcome("http_500"), unsure: false };
    world.finish(&retried, retry).await;
    let running = world.claim_next().await.unwrap();
    let published = world.store.due(QUEUE, 1, &Turns::default()).await.unwrap().tasks.remove(0);
    world.store.mark_published(&[(published.task, published.fence)], &[], None).await.unwrap();
    world.store.close_account("acme", world.store.now_ms() + 60_000, "http_503").await.unwrap();
    assert!(world.store.take_seat("relay", "gone", 6_000).await.unwrap());

    world.clock.advance(-DAY_MS);
    assert_eq!(world.store.follow_clock().await.unwrap(), Some(DAY_MS));
    assert_eq!(world.other.follow_clock().await.unwrap(), None, "it is set right once");
    let now = world.store.now_ms();
    let until = world.store.closing("acme").await.unwrap().unwrap().until;
    assert_eq!(until - now, 60_000, "what is left of it is what was left");
    assert!(world.store.take_seat("relay", "new", 6_000).await.unwrap());
    // The delivery that is under way is good.
    let claim = world.store.claim(published.task, published.fence, "w1").await.unwrap();
    assert!(matches!(claim, Claim::Claimed(_)), "{claim:?}");
    assert_eq!(due(&world.store).await, 1);
    world.clock.advance(BACK_OFF);
    assert_eq!(due(&world.store).await, 2, "the retry has come");
    world.clock.advance(LEASE_MS - BACK_OFF);
    assert_eq!(world.store.reap(false).await.unwrap().len(), 2, "its worker is lost");
    assert!(!world.store.renew(running.task, running.fence).await.unwrap());
    world.check().await;
}

pub async fn what_is_published_under_a_clock_ahead_is_published_again(world: World) {
    world.clock.advance(DAY_MS);
    world.store.follow_clock().await.unwrap();
    world.store.accept(upload(world.user, 1)).await.unwrap();
    let sent = world.store.due(QUEUE, 1, &Turns::default()).await.unwrap().tasks.remove(0);
    world.store.mark_published(&[(sent.task, sent.fence)], &[], None).await.unwrap();
    world.clock.advance(-DAY_MS);
    world.store.follow_clock().await.unwrap();
    // Its message is lost.
    world.clock.advance(2 * LEASE_MS + 1);
    let lost = world.store.now_ms() - 2 * LEASE_MS;
    assert_eq!(world.store.unpublish(QUEUE, lost).await.unwrap(), 1);
    assert_eq!(due(&world.store).await, 1);
}

pub async fn what_is_launched_after_a_clock_was_set_back_is_newer(world: World) {
    let once = async |user: UserId| {
        world.store.accept(launch(user, vec![task("SKU-1", 0)])).await.unwrap().job
    };
    world.clock.advance(DAY_MS);
    world.store.follow_clock().await.unwrap();
    once(world.user).await;
    let ahead = world.claim_next().await.unwrap();
    world.succeed(&ahead).await;
    world.clock.advance(-DAY_MS);
    world.store.follow_clock().await.unwrap();
    world.clock.advance(1);
    let newer = once(world.user).await;
    let claimed = world.claim_next().await.unwrap();
    world.succeed(&claimed).await;
    let ended = world.store.job(world.user, newer.id).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded, "it is not taken for the older one");
}
