//! The life of a task.

use crate::fixture::{QUEUE, START, StoreFixture, finish, new_upload_job, outcome, success};
use contract::{
    UserId,
    api::{CooldownReason, Resolution, RetryRequest},
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{
    AttemptError, Claim, DEFAULT_LEASE_MS, Error, JobControl, MAX_LEASE_LOSSES, RoundRobin,
};

pub async fn a_job_runs_to_its_end(fixture: StoreFixture) {
    let accepted = fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap();
    assert_eq!(accepted.facts[0].kind, FactKind::JobAccepted);
    let first = fixture.claim_next().await.unwrap();
    assert_eq!((first.attempt, first.sku.as_str()), (1, "SKU-0"));
    assert_eq!(fixture.succeed(&first).await, [FactKind::TaskSucceeded]);
    let second = fixture.claim_next().await.unwrap();
    assert_eq!(fixture.succeed(&second).await, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    let job = fixture.store.jobs.job(fixture.user, accepted.job.id).await.unwrap();
    assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 2));
    let inbox = fixture.store.journal.inbox(fixture.user, 10).await.unwrap();
    assert_eq!((inbox.unread, inbox.items[0].title.as_str()), (1, "lamps.csv is done"));
    fixture.assert_consistent().await;
}

/// A web node whose own clock is an hour behind makes jobs that are listed first too.
pub async fn ids_have_the_time_of_the_stores_clock(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap().job.id;
    let tasks = fixture.store.jobs.tasks(fixture.user, job, None, 10).await.unwrap();
    let ids = [job.0, tasks[0].id.0, tasks[1].id.0];
    let seconds = ids.map(|id| id.get_timestamp().unwrap().to_unix().0);
    assert_eq!(seconds, [START.unsigned_abs() / 1_000; 3]);
    assert!(ids.is_sorted(), "ids of one millisecond ascend");
}

pub async fn one_idempotency_key_makes_one_job(fixture: StoreFixture) {
    let mut launch = new_upload_job(fixture.user, 1);
    launch.idempotency = Some(("key".into(), "hash".into()));
    let first = fixture.store.tasks.accept(launch.clone()).await.unwrap();
    let again = fixture.store.tasks.accept(launch.clone()).await.unwrap();
    assert_eq!((first.job.id, again.facts.len()), (again.job.id, 0));
    launch.idempotency = Some(("key".into(), "another".into()));
    assert!(matches!(fixture.store.tasks.accept(launch).await, Err(Error::KeyReused)));
    assert_eq!(fixture.store.jobs.jobs(fixture.user, None, 10).await.unwrap().items.len(), 1);
}

pub async fn a_delivery_is_claimed_once_and_a_stale_worker_writes_nothing(fixture: StoreFixture) {
    fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
    let due = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
    let claimed = fixture.claim_next().await.unwrap();
    let again = fixture.store.tasks.claim(due[0].task, due[0].fence, "w2").await.unwrap();
    assert_eq!(again, Claim::NotClaimable);
    assert!(fixture.store.tasks.renew_lease(claimed.id, claimed.fence).await.unwrap());

    fixture.clock.advance(60_001);
    assert_eq!(fixture.store.tasks.reap_expired_leases(false).await.unwrap().len(), 1);
    assert!(!fixture.store.tasks.renew_lease(claimed.id, claimed.fence).await.unwrap());
    assert_eq!(fixture.succeed(&claimed).await, []);
    let next = fixture.claim_next().await.unwrap();
    assert!(next.outcome_unknown(), "the lost call may have had its effect");
    assert_eq!(next.attempt, 1, "a lost lease costs no attempt");
    fixture.succeed(&next).await;
    fixture.assert_consistent().await;
}

pub async fn retries_back_off_and_end_as_a_failure_that_can_be_retried(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().job.id;
    for attempt in 1..=6 {
        let claimed = fixture.claim_next().await.unwrap();
        assert_eq!(claimed.attempt, attempt);
        let retry =
            Err(AttemptError::Retry { outcome: outcome("http_500"), outcome_unknown: false });
        fixture.finish(&claimed, retry).await;
        fixture.clock.advance(600_001);
    }
    assert!(fixture.claim_next().await.is_none());
    let failed = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((failed.state, failed.counts.failed), (JobState::Failed, 1));
    fixture.store.tasks.retry_tasks(fixture.user, job, &RetryRequest::default()).await.unwrap();
    let claimed = fixture.claim_next().await.unwrap();
    fixture.succeed(&claimed).await;
    let detail = fixture.store.jobs.task(fixture.user, claimed.id).await.unwrap();
    assert_eq!(detail.attempts.len(), 7);
    let nothing_failed =
        fixture.store.tasks.retry_tasks(fixture.user, job, &RetryRequest::default()).await;
    assert!(matches!(nothing_failed, Err(Error::Conflict(_))));
    fixture.assert_consistent().await;
}

pub async fn pause_and_cancel_take_effect_at_once_and_report_true_counts(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap().job.id;
    let running = fixture.claim_next().await.unwrap();
    let published =
        fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
    fixture.store.tasks.control_job(fixture.user, job, JobControl::Pause).await.unwrap();
    assert!(
        fixture
            .store
            .tasks
            .due_tasks(QUEUE, 4, &RoundRobin::default())
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
    let paused =
        fixture.store.tasks.claim(published[0].task, published[0].fence, "w1").await.unwrap();
    assert_eq!(paused, Claim::NotClaimable);
    fixture.store.tasks.control_job(fixture.user, job, JobControl::Resume).await.unwrap();
    assert_eq!(
        fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks.len(),
        2
    );

    let (cancelling, facts) =
        fixture.store.tasks.control_job(fixture.user, job, JobControl::Cancel).await.unwrap();
    assert_eq!(facts[0].data.count, Some(2));
    assert_eq!((cancelling.state, cancelling.counts.open), (JobState::Running, 1));
    assert_eq!(fixture.succeed(&running).await, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    let ended = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!(ended.state, JobState::Cancelled);
    fixture.assert_consistent().await;
}

pub async fn a_person_resolves_a_task_that_needs_review(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap().job.id;
    for resolution in [Resolution::Succeeded, Resolution::Retry] {
        let claimed = fixture.claim_next().await.unwrap();
        fixture.finish(&claimed, Err(AttemptError::NeedsReview(outcome("outcome_unknown")))).await;
        fixture.store.tasks.resolve_task(fixture.user, claimed.id, resolution).await.unwrap();
    }
    let again = fixture.claim_next().await.unwrap();
    fixture.succeed(&again).await;
    let ended = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.succeeded), (JobState::Succeeded, 2));
    fixture.assert_consistent().await;
}

pub async fn jobs_of_other_users_are_not_found(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().job.id;
    let stranger = UserId(uuid::Uuid::now_v7());
    assert!(matches!(fixture.store.jobs.job(stranger, job).await, Err(Error::NotFound)));
    let cancel = fixture.store.tasks.control_job(stranger, job, JobControl::Cancel).await;
    assert!(matches!(cancel, Err(Error::NotFound)));
    assert!(fixture.store.jobs.tasks(stranger, job, None, 10).await.unwrap().is_empty());
}

pub async fn a_delivery_refused_during_a_pause_is_redelivered(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().job.id;
    // The relay has published it and not marked it yet when the job is paused.
    let sent = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
    let claim = (sent[0].task, sent[0].fence);
    fixture.store.tasks.control_job(fixture.user, job, JobControl::Pause).await.unwrap();
    fixture.store.tasks.mark_published(&[claim], &[], None).await.unwrap();
    assert_eq!(
        fixture.store.tasks.claim(claim.0, claim.1, "w1").await.unwrap(),
        Claim::NotClaimable
    );

    fixture.store.tasks.control_job(fixture.user, job, JobControl::Resume).await.unwrap();
    let again =
        fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
    assert_eq!(again.len(), 1, "its only message was refused, so it is published again");
}

pub async fn resolving_a_task_does_not_undo_a_cancel(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap().job.id;
    let needs_review = fixture.claim_next().await.unwrap();
    let running = fixture.claim_next().await.unwrap();
    fixture.finish(&needs_review, Err(AttemptError::NeedsReview(outcome("outcome_unknown")))).await;
    fixture.store.tasks.control_job(fixture.user, job, JobControl::Cancel).await.unwrap();
    let again =
        fixture.store.tasks.resolve_task(fixture.user, needs_review.id, Resolution::Retry).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    fixture
        .store
        .tasks
        .resolve_task(fixture.user, needs_review.id, Resolution::Succeeded)
        .await
        .unwrap();
    fixture.succeed(&running).await;
    let ended = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Cancelled, 1));
    fixture.assert_consistent().await;
}

pub async fn five_lost_leases_in_a_row_fail_the_task(fixture: StoreFixture) {
    fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap();
    let mut poison = None;
    for losses in 1..=MAX_LEASE_LOSSES {
        let claimed = fixture.claim_next().await.unwrap();
        assert_eq!((claimed.attempt, claimed.sku.as_str()), (1, "SKU-0"), "lost {losses} times");
        assert_eq!(claimed.outcome_unknown(), losses > 1);
        poison = Some(claimed.id);
        fixture.clock.advance(DEFAULT_LEASE_MS);
        let facts = fixture.store.tasks.reap_expired_leases(false).await.unwrap();
        let expected =
            if losses < MAX_LEASE_LOSSES { FactKind::TaskRequeued } else { FactKind::TaskFailed };
        assert_eq!(facts[0].facts[0].kind, expected);
        fixture.clock.advance(30_000);
        // The other queued task would now come first; this puts the failing one
        // before it.
        fixture.execute("UPDATE tasks SET run_after = run_after + 1000000 WHERE row_no = 1").await;
    }
    fixture.execute("UPDATE tasks SET run_after = 0 WHERE row_no = 1").await;
    let neighbour = fixture.claim_next().await.unwrap();
    assert_eq!(neighbour.sku, "SKU-1");
    fixture.succeed(&neighbour).await;
    let detail = fixture.store.jobs.task(fixture.user, poison.unwrap()).await.unwrap();
    assert_eq!(detail.attempts.len(), 5);
    let outcome = detail.task.outcome.unwrap();
    assert_eq!((detail.task.state, outcome.code.as_str()), (TaskState::Failed, "poison"));
    fixture.assert_consistent().await;
}

pub async fn a_renewed_lease_is_not_taken_back(fixture: StoreFixture) {
    fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
    let claimed = fixture.claim_next().await.unwrap();
    for _ in 0..4 {
        fixture.clock.advance(DEFAULT_LEASE_MS - 1);
        assert!(fixture.store.tasks.renew_lease(claimed.id, claimed.fence).await.unwrap());
        assert!(fixture.store.tasks.reap_expired_leases(false).await.unwrap().is_empty());
    }
    assert_eq!(fixture.store.tasks.finish(vec![finish(&claimed, success())]).await.len(), 1);
    fixture.assert_consistent().await;
}

pub async fn a_cooldown_keeps_its_reason_and_message_and_is_never_shortened(fixture: StoreFixture) {
    assert_eq!(fixture.store.coordination.last_cooldown("acme").await.unwrap(), None);
    let reasons = [CooldownReason::TooManyRequests, CooldownReason::ServiceUnavailable];
    for (until, reason) in [2_000, 3_000].into_iter().zip(reasons) {
        let message = Some(reason.as_str());
        let coordination = &fixture.store.coordination;
        coordination.record_cooldown("acme", until, reason, message).await.unwrap();
        let shorter = fixture.store.coordination.record_cooldown(
            "acme",
            until - 1,
            CooldownReason::Throttled,
            None,
        );
        shorter.await.unwrap();
        let cooldown =
            fixture.other_store.coordination.last_cooldown("acme").await.unwrap().unwrap();
        assert_eq!((cooldown.until, cooldown.reason), (until, reason));
        assert_eq!(cooldown.message.as_deref(), message);
    }
}
