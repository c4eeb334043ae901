//! Retention: what is deleted, and when.

use crate::world::{QUEUE, World, new_upload_job, outcome, success};
use contract::{
    api::{RetryRequest, Role},
    state::JobState,
};
use engine::store::{AttemptError, Error, JobControl, PrunedRows, Retention};

const DAY: i64 = 24 * 3_600_000;

impl World {
    async fn prune(&self) -> PrunedRows {
        self.store.tasks.prune(Retention::default()).await.unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        self.query_number(&format!("SELECT COUNT(*) AS n FROM {table}")).await
    }
}

pub async fn the_journal_loses_its_beginning_after_30_days_and_never_its_middle(world: World) {
    let bob = world.add_user("bob@example.com", Role::User).await;
    let mut heads = Vec::new();
    for _ in 0..3 {
        world.store.tasks.accept(new_upload_job(world.user, 1)).await.unwrap();
        world.store.tasks.accept(new_upload_job(bob, 1)).await.unwrap();
        heads.push(world.store.journal.journal_head(world.user).await.unwrap());
        world.clock.advance(15 * DAY);
    }
    assert_eq!(world.store.journal.replayable_range(world.user).await.unwrap(), 0..=3);
    // The first is 45 days old, the second 30 to the millisecond.
    assert_eq!(world.prune().await.facts, 2);
    for user in [world.user, bob] {
        assert_eq!(world.store.journal.replayable_range(user).await.unwrap(), heads[0]..=heads[2]);
        let left = world.store.journal.facts_after(user, heads[0], 100).await.unwrap();
        assert!(left.iter().map(|fact| fact.seq).eq(heads[0] + 1..=heads[2]));
    }
    world.clock.advance(31 * DAY);
    world.prune().await;
    assert_eq!(
        world.store.journal.replayable_range(world.user).await.unwrap(),
        3..=3,
        "all facts are deleted"
    );
    let facts = world.store.tasks.accept(new_upload_job(world.user, 1)).await.unwrap().facts;
    assert_eq!(facts[0].seq, 4, "the numbers continue");
    assert_eq!(world.store.journal.replayable_range(world.user).await.unwrap(), 3..=4);
}

pub async fn a_job_and_its_rows_are_deleted_90_days_after_its_end(world: World) {
    // More tasks than one commit deletes; one of them has an attempt.
    let old = world.store.tasks.accept(new_upload_job(world.user, 1_100)).await.unwrap().job.id;
    let claimed = world.claim_next().await.unwrap();
    world.succeed(&claimed).await;
    world.store.tasks.control_job(world.user, old, JobControl::Cancel).await.unwrap();
    let open = world.store.tasks.accept(new_upload_job(world.user, 2)).await.unwrap().job.id;
    world.store.tasks.control_job(world.user, open, JobControl::Pause).await.unwrap();
    world.clock.advance(DAY);
    let newer = world.store.tasks.accept(new_upload_job(world.user, 3)).await.unwrap().job.id;
    world.store.tasks.control_job(world.user, newer, JobControl::Cancel).await.unwrap();

    world.clock.advance(89 * DAY);
    let pruned = world.prune().await;
    assert_eq!((pruned.jobs, pruned.tasks), (0, 0), "90 days to the millisecond");
    world.clock.advance(1);
    let pruned = world.prune().await;
    assert_eq!((pruned.jobs, pruned.tasks), (1, 1_100));
    assert!(matches!(world.store.jobs.job(world.user, old).await, Err(Error::NotFound)));
    assert_eq!((world.count("tasks").await, world.count("attempts").await), (5, 0));
    let inbox = world.store.journal.inbox(world.user, 10).await.unwrap();
    assert!(inbox.items.iter().all(|item| item.job == newer), "its notification is deleted too");
    assert_eq!(world.store.jobs.job(world.user, open).await.unwrap().state, JobState::Running);
    assert_eq!(world.store.jobs.job(world.user, newer).await.unwrap().counts.total, 3);
}

pub async fn a_job_that_was_retried_is_kept(world: World) {
    let job = world.store.tasks.accept(new_upload_job(world.user, 1)).await.unwrap().job.id;
    let claimed = world.claim_next().await.unwrap();
    world.finish(&claimed, Err(AttemptError::Failed(outcome("rejected")))).await;
    world.clock.advance(89 * DAY);
    world.store.tasks.retry_failed_tasks(world.user, job, &RetryRequest::default()).await.unwrap();
    world.clock.advance(89 * DAY);
    assert_eq!(world.prune().await.jobs, 0, "it is running");
    let claimed = world.claim_next().await.unwrap();
    world.succeed(&claimed).await;
    world.clock.advance(89 * DAY);
    assert_eq!(world.prune().await.jobs, 0, "it finished 89 days ago");
    world.clock.advance(2 * DAY);
    assert_eq!(world.prune().await.jobs, 1);
    assert_eq!(world.count("jobs").await, 0);
}

pub async fn expired_rows_are_deleted(world: World) {
    let now = world.store.database.now_ms();
    for (token, days) in [("short", 1), ("long", 40)] {
        world.store.accounts.add_session(token, world.user, now + days * DAY).await.unwrap();
    }
    world.store.accounts.add_password_reset(world.user, world.user, "reset").await.unwrap();
    world.store.tasks.save_rejected_message(QUEUE, b"garbage", "not JSON").await.unwrap();
    let mut keyed = new_upload_job(world.user, 1);
    keyed.idempotency = Some(("key".into(), "hash".into()));
    let first = world.store.tasks.accept(keyed.clone()).await.unwrap().job.id;

    world.clock.advance(DAY);
    // At this very millisecond the key is still valid, and the session is not.
    assert_eq!(world.prune().await, PrunedRows { others: 1, ..PrunedRows::default() });
    assert_eq!(world.store.tasks.accept(keyed.clone()).await.unwrap().job.id, first);
    world.clock.advance(1);
    assert_eq!(world.prune().await.others, 1);
    assert_ne!(world.store.tasks.accept(keyed).await.unwrap().job.id, first);
    let link = world.store.accounts.usable_link("reset").await;
    assert!(matches!(link, Err(Error::Conflict(_))), "the error says why: {link:?}");

    world.clock.advance(32 * DAY);
    // The link, the message, the second key.
    assert_eq!(world.prune().await.others, 3);
    assert!(matches!(world.store.accounts.usable_link("reset").await, Err(Error::NotFound)));
    assert!(world.store.accounts.authenticate_session("long").await.unwrap().is_some());
    assert_eq!(world.count("rejected_messages").await, 0);
    world.store.tasks.accept(new_upload_job(world.user, 1)).await.unwrap();
    let claimed = world.claim_next().await.unwrap();
    world.finish(&claimed, success()).await;
}
