//! No room for more. SQLite is told so by a limit on its pages, which ends as
//! a full disk does; what PostgreSQL does on a full disk is tried by
//! `bench faults`.

use crate::world::{World, upload};
use engine::store::Error;

#[tokio::test]
async fn what_finds_no_room_is_refused_whole_and_goes_on_when_there_is_some() {
    let world = World::sqlite().await;
    let first = world.store.accept(upload(world.user, 2)).await.unwrap().job.id;
    let claimed = world.claim_next().await.unwrap();
    let mut large = upload(world.user, 3_000);
    large.idempotency = Some(("key".into(), "hash".into()));

    world.store.may_grow(false).await.unwrap();
    let refused = world.store.accept(large.clone()).await.unwrap_err();
    assert!(refused.is_full() && matches!(refused, Error::Database(_)), "{refused:?}");
    assert!(!refused.is_defect(), "{refused:?}");
    let jobs = world.store.jobs(world.user, None, 10).await.unwrap().items;
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first]);
    world.check().await;

    world.store.may_grow(true).await.unwrap();
    world.succeed(&claimed).await;
    // Were its key known, another body would be refused.
    large.idempotency = Some(("key".into(), "another".into()));
    let accepted = world.store.accept(large).await.unwrap();
    assert_eq!((accepted.job.counts.total, accepted.facts.len()), (3_000, 1));
    world.check().await;
}
