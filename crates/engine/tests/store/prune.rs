//! Retention: what is deleted, and when.

use crate::fixture::{QUEUE, StoreFixture, new_upload_job, outcome, success};
use contract::{
    api::{RetryRequest, Role},
    state::JobState,
};
use engine::store::{AttemptError, Error, JobControl, PrunedRows, Retention};

const DAY: i64 = 24 * 3_600_000;

impl StoreFixture {
    async fn prune(&self) -> PrunedRows {
        self.store.tasks.prune(Retention::default()).await.unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        self.query_number(&format!("SELECT COUNT(*) AS n FROM {table}")).await
    }
}

pub async fn the_journal_loses_its_beginning_after_30_days_and_never_its_middle(
    fixture: StoreFixture,
) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let mut heads = Vec::new();
    for _ in 0..3 {
        fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
        fixture.store.tasks.accept(new_upload_job(bob, 1)).await.unwrap();
        heads.push(fixture.store.journal.journal_head(fixture.user).await.unwrap());
        fixture.clock.advance(15 * DAY);
    }
    assert_eq!(fixture.store.journal.replayable_range(fixture.user).await.unwrap(), 0..=3);
    // The first is 45 days old, the second 30 to the millisecond.
    assert_eq!(fixture.prune().await.facts, 2);
    for user in [fixture.user, bob] {
        assert_eq!(
            fixture.store.journal.replayable_range(user).await.unwrap(),
            heads[0]..=heads[2]
        );
        let left = fixture.store.journal.facts_after(user, heads[0], 100).await.unwrap();
        assert!(left.iter().map(|fact| fact.seq).eq(heads[0] + 1..=heads[2]));
    }
    fixture.clock.advance(31 * DAY);
    fixture.prune().await;
    assert_eq!(
        fixture.store.journal.replayable_range(fixture.user).await.unwrap(),
        3..=3,
        "all facts are deleted"
    );
    let facts = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().facts;
    assert_eq!(facts[0].seq, 4, "the numbers continue");
    assert_eq!(fixture.store.journal.replayable_range(fixture.user).await.unwrap(), 3..=4);
}

pub async fn a_job_and_its_rows_are_deleted_90_days_after_its_end(fixture: StoreFixture) {
    // More tasks than one commit deletes; one of them has an attempt.
    let old = fixture.store.tasks.accept(new_upload_job(fixture.user, 1_100)).await.unwrap().job.id;
    let claimed = fixture.claim_next().await.unwrap();
    fixture.succeed(&claimed).await;
    fixture.store.tasks.control_job(fixture.user, old, JobControl::Cancel).await.unwrap();
    let open = fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap().job.id;
    fixture.store.tasks.control_job(fixture.user, open, JobControl::Pause).await.unwrap();
    fixture.clock.advance(DAY);
    let newer = fixture.store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap().job.id;
    fixture.store.tasks.control_job(fixture.user, newer, JobControl::Cancel).await.unwrap();

    fixture.clock.advance(89 * DAY);
    let pruned = fixture.prune().await;
    assert_eq!((pruned.jobs, pruned.tasks), (0, 0), "90 days to the millisecond");
    fixture.clock.advance(1);
    let pruned = fixture.prune().await;
    assert_eq!((pruned.jobs, pruned.tasks), (1, 1_100));
    assert!(matches!(fixture.store.jobs.job(fixture.user, old).await, Err(Error::NotFound)));
    assert_eq!((fixture.count("tasks").await, fixture.count("attempts").await), (5, 0));
    let inbox = fixture.store.journal.inbox(fixture.user, 10).await.unwrap();
    assert!(inbox.items.iter().all(|item| item.job == newer), "its notification is deleted too");
    assert_eq!(fixture.store.jobs.job(fixture.user, open).await.unwrap().state, JobState::Running);
    assert_eq!(fixture.store.jobs.job(fixture.user, newer).await.unwrap().counts.total, 3);
}

pub async fn a_job_that_was_retried_is_kept(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().job.id;
    let claimed = fixture.claim_next().await.unwrap();
    fixture.finish(&claimed, Err(AttemptError::Failed(outcome("rejected")))).await;
    fixture.clock.advance(89 * DAY);
    fixture.store.tasks.retry_tasks(fixture.user, job, &RetryRequest::default()).await.unwrap();
    fixture.clock.advance(89 * DAY);
    assert_eq!(fixture.prune().await.jobs, 0, "it is running");
    let claimed = fixture.claim_next().await.unwrap();
    fixture.succeed(&claimed).await;
    fixture.clock.advance(89 * DAY);
    assert_eq!(fixture.prune().await.jobs, 0, "it finished 89 days ago");
    fixture.clock.advance(2 * DAY);
    assert_eq!(fixture.prune().await.jobs, 1);
    assert_eq!(fixture.count("jobs").await, 0);
}

pub async fn expired_rows_are_deleted(fixture: StoreFixture) {
    let now = fixture.store.database.now_ms();
    for (token, days) in [("short", 1), ("long", 40)] {
        fixture.store.accounts.add_session(token, fixture.user, now + days * DAY).await.unwrap();
    }
    fixture.store.accounts.add_password_reset(fixture.user, fixture.user, "reset").await.unwrap();
    fixture.store.tasks.save_rejected_message(QUEUE, b"garbage", "not JSON").await.unwrap();
    let mut keyed = new_upload_job(fixture.user, 1);
    keyed.idempotency = Some(("key".into(), "hash".into()));
    let first = fixture.store.tasks.accept(keyed.clone()).await.unwrap().job.id;

    fixture.clock.advance(DAY);
    // At this very millisecond the key is still valid, and the session is not.
    assert_eq!(fixture.prune().await, PrunedRows { others: 1, ..PrunedRows::default() });
    assert_eq!(fixture.store.tasks.accept(keyed.clone()).await.unwrap().job.id, first);
    fixture.clock.advance(1);
    assert_eq!(fixture.prune().await.others, 1);
    assert_ne!(fixture.store.tasks.accept(keyed).await.unwrap().job.id, first);
    let link = fixture.store.accounts.usable_link("reset").await;
    assert!(matches!(link, Err(Error::Conflict(_))), "the error says why: {link:?}");

    fixture.clock.advance(32 * DAY);
    // The link, the message, the second key.
    assert_eq!(fixture.prune().await.others, 3);
    assert!(matches!(fixture.store.accounts.usable_link("reset").await, Err(Error::NotFound)));
    assert!(fixture.store.accounts.authenticate_session("long").await.unwrap().is_some());
    assert_eq!(fixture.count("rejected_messages").await, 0);
    fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
    let claimed = fixture.claim_next().await.unwrap();
    fixture.finish(&claimed, success()).await;
}
