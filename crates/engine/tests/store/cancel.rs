//! Cancelling a job: `cancelled` says that the task had no effect.

use crate::fixture::{QUEUE, StoreFixture, new_upload_job, outcome};
use contract::{
    JobId, TaskId,
    api::{RetryRequest, RetryState, WaitReason},
    fact::FactKind,
    state::{Effect, JobState, TaskState},
};
use engine::store::{
    AttemptError, DEFAULT_LEASE_MS, JobControl, MAX_ATTEMPTS, RETRY_BACKOFF_MS, RoundRobin, Success,
};
use std::time::Duration;

fn no_answer() -> AttemptError {
    AttemptError::retry_outcome_unknown("timeout", "No answer in time.")
}

impl StoreFixture {
    async fn accept_uploads(&self, count: u32) -> JobId {
        self.store.tasks.accept(new_upload_job(self.user, count)).await.unwrap().job.id
    }

    async fn cancel(&self, job: JobId) -> Vec<FactKind> {
        let (_, facts) =
            self.store.tasks.control_job(self.user, job, JobControl::Cancel).await.unwrap();
        facts.iter().map(|fact| fact.kind).collect()
    }

    async fn state_of(&self, task: TaskId) -> TaskState {
        self.store.jobs.task(self.user, task).await.unwrap().task.state
    }
}

pub async fn a_cancel_reconciles_what_was_sent_without_an_answer(fixture: StoreFixture) {
    let job = fixture.accept_uploads(3).await;
    let (done, not_done) =
        (fixture.claim_next().await.unwrap(), fixture.claim_next().await.unwrap());
    for sent in [&done, &not_done] {
        fixture.finish(sent, Err(no_answer())).await;
    }
    assert_eq!(fixture.cancel(job).await, [FactKind::JobCancelling]);
    let cancelling = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((cancelling.counts.cancelled, cancelling.counts.open), (1, 2));

    // They are due at once, although their back-off is not over.
    for _ in 0..2 {
        let again = fixture.claim_next().await.unwrap();
        assert!(again.outcome_unknown() && again.only_reconcile);
        let outcome = match again.id == done.id {
            true => Ok(Success::new(outcome("found")).with_effect(Effect::Created)),
            false => Err(AttemptError::not_done("Acme doesn't have it.")),
        };
        fixture.finish(&again, outcome).await;
    }
    assert_eq!(fixture.state_of(done.id).await, TaskState::Succeeded);
    assert_eq!(fixture.state_of(not_done.id).await, TaskState::Cancelled);
    let ended = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Cancelled, 2));
    fixture.assert_consistent().await;
}

pub async fn a_running_call_without_an_answer_is_reconciled_after_a_cancel(fixture: StoreFixture) {
    let job = fixture.accept_uploads(2).await;
    let (unknown, unsent) =
        (fixture.claim_next().await.unwrap(), fixture.claim_next().await.unwrap());
    fixture.cancel(job).await;
    assert_eq!(fixture.finish(&unknown, Err(no_answer())).await, [FactKind::TaskRequeued]);
    let refused = AttemptError::retry("http_503", "Not now.");
    assert_eq!(fixture.finish(&unsent, Err(refused)).await, [FactKind::TaskCancelled]);
    fixture.clock.advance(RETRY_BACKOFF_MS[0]);
    let again = fixture.claim_next().await.unwrap();
    assert_eq!((again.id, again.only_reconcile), (unknown.id, true));
    let kinds = fixture.succeed(&again).await;
    assert_eq!(kinds, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    fixture.assert_consistent().await;
}

pub async fn a_lost_worker_is_reconciled_after_a_cancel(fixture: StoreFixture) {
    let job = fixture.accept_uploads(1).await;
    let lost = fixture.claim_next().await.unwrap();
    assert!(!lost.only_reconcile);
    fixture.cancel(job).await;
    fixture.clock.advance(DEFAULT_LEASE_MS);
    fixture.store.tasks.reap_expired_leases(false).await.unwrap();
    let again = fixture.claim_next().await.unwrap();
    assert!(again.outcome_unknown() && again.only_reconcile);
    // The rate limiter has no permit for the question: it is asked later.
    let wait = AttemptError::NoRatePermit {
        reason: WaitReason::RateLimit,
        detail: None,
        wait: Duration::ZERO,
        outcome_unknown: false,
    };
    fixture.finish(&again, Err(wait)).await;
    let again = fixture.claim_next().await.unwrap();
    assert!(again.outcome_unknown() && again.only_reconcile);
    fixture.finish(&again, Err(AttemptError::not_done("It is not there."))).await;
    let ended = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Cancelled, 1));
    fixture.assert_consistent().await;
}

pub async fn what_a_cancelled_job_has_started_is_waited_for(fixture: StoreFixture) {
    let job = fixture.accept_uploads(1).await;
    let starting = || AttemptError::Wait {
        outcome: outcome("starting"),
        reason: WaitReason::Machine,
        wait: Duration::ZERO,
        checkpoint: Some(Box::new(serde_json::json!({ "started": true }))),
        record_attempt: false,
    };
    let first = fixture.claim_next().await.unwrap();
    fixture.finish(&first, Err(starting())).await;
    fixture.cancel(job).await;
    let no_state = AttemptError::retry("http_500", "EC2 answered 500.");
    for outcome in [starting(), no_state, starting()] {
        let again = fixture.claim_next().await.unwrap();
        assert!(again.only_reconcile && again.checkpoint.is_some());
        fixture.finish(&again, Err(outcome)).await;
        fixture.clock.advance(RETRY_BACKOFF_MS[0]);
    }
    let again = fixture.claim_next().await.unwrap();
    fixture.succeed(&again).await;
    let ended = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Succeeded, 0));
    fixture.assert_consistent().await;
}

pub async fn nobody_can_tell_what_a_cancelled_call_did(fixture: StoreFixture) {
    let job = fixture.accept_uploads(1).await;
    let sent = fixture.claim_next().await.unwrap();
    fixture.finish(&sent, Err(no_answer())).await;
    fixture.cancel(job).await;
    for _ in 1..MAX_ATTEMPTS {
        assert_eq!(fixture.state_of(sent.id).await, TaskState::Queued);
        let again = fixture.claim_next().await.unwrap();
        assert!(again.only_reconcile);
        fixture.finish(&again, Err(no_answer())).await;
        fixture.clock.advance(600_001);
    }
    assert!(fixture.claim_next().await.is_none());
    assert_eq!(fixture.state_of(sent.id).await, TaskState::NeedsReview);
    fixture.assert_consistent().await;
}

pub async fn cancelled_items_can_be_launched_again(fixture: StoreFixture) {
    let job = fixture.accept_uploads(3).await;
    let failed = fixture.claim_next().await.unwrap();
    fixture.finish(&failed, Err(AttemptError::Failed(outcome("http_404")))).await;
    fixture.cancel(job).await;
    let again = RetryRequest { state: Some(RetryState::Cancelled), ..RetryRequest::default() };
    let (reopened, facts) =
        fixture.store.tasks.retry_tasks(fixture.user, job, &again).await.unwrap();
    assert_eq!((facts[0].kind, facts[0].data.count), (FactKind::JobReopened, Some(2)));
    assert_eq!((reopened.state, reopened.cancel_requested), (JobState::Running, false));
    assert_eq!((reopened.counts.failed, reopened.counts.cancelled), (1, 0));
    let due = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap();
    assert_eq!(due.tasks.len(), 2);
    let claimed = fixture.claim_next().await.unwrap();
    assert!(!claimed.only_reconcile);
    fixture.succeed(&claimed).await;
    fixture.assert_consistent().await;
}
