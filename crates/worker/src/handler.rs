//! Port to the handler of a command, and the context of an attempt.

use async_trait::async_trait;
use contract::{
    api::{Outcome, WaitReason},
    command::Command,
};
use engine::{
    clock::whole_millis,
    limiter::{self, AcquireError, Limiters, PaceReport, UpstreamPermit},
    store::{AttemptError, ClaimedTask, Success},
};
use std::time::Duration;
use tokio::time::Instant;

/// Handler of one command. It makes the calls and reports their outcome; the
/// runner sees to state, retries, locks and notifications.
#[async_trait]
pub trait Handler<C: Command>: Send + Sync + 'static {
    /// Kinds of the commands that a success may cause, as the catalogue lists them. A success
    /// that causes another one needs review (`undeclared_cause`).
    const MAY_CAUSE: &'static [&'static str] = &[];

    /// Runs one attempt. Call [`AttemptContext::acquire_rate_permit`] before each
    /// request. The runner stops a handler that takes longer than five sixths of
    /// the lease.
    ///
    /// # Errors
    /// The task is not done. The store chooses the delay of a
    /// [`Retry`](AttemptError::Retry) by the number of attempts; the other errors that
    /// lead to another attempt carry their own.
    ///
    /// Where the [outcome is unknown](ClaimedTask::outcome_unknown), reconcile first, here
    /// in `run`: nobody calls [`reconcile`](Self::reconcile) before. Find out whether the
    /// earlier call had its effect, or repeat it with the same idempotency key. An error that
    /// does not clarify the earlier call must say so, with
    /// [`keep_unknown`](AttemptContext::keep_unknown), or a later attempt would send the call
    /// again.
    async fn run(
        &self,
        command: C,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError>;

    /// Finds out whether an earlier attempt has had its effect, and changes nothing. Called
    /// instead of [`run`](Self::run) where
    /// [`only_reconcile`](ClaimedTask::only_reconcile) is set. The default leaves the
    /// decision to a person.
    ///
    /// # Errors
    /// [`NotDone`](AttemptError::NotDone) where there is no effect and none can come; an
    /// error with an unknown outcome where nobody can tell yet.
    async fn reconcile(
        &self,
        _command: C,
        _context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let message = "It was stopped in the middle, and nobody can tell whether it was done.";
        Err(AttemptError::NeedsReview(Outcome::new("outcome_unknown", message)))
    }
}

/// Context of one attempt: the claimed task, and the permits of the upstreams that it calls.
///
/// The runner acquires the permit of the upstream that the handler is registered with before it
/// claims the task. A handler whose calls have different limits, such as `DescribeInstances` and
/// `StartInstances`, acquires those of the other upstreams here, when it needs them: it holds a
/// concurrency slot of each until the attempt ends.
pub struct AttemptContext<'a> {
    /// The task.
    pub task: &'a ClaimedTask,
    /// Permit that the runner acquired; `None` if no upstream is called.
    permit: Option<&'a mut UpstreamPermit>,
    has_used_permit: bool,
    /// Permits of further upstreams.
    further_permits: Vec<UpstreamPermit>,
    /// `None` if no upstream is called.
    limiters: Option<&'a Limiters>,
    /// Upstream of the last request.
    last_upstream: Option<String>,
    /// The handler timeout could cut off a request that starts later.
    latest_request_start: Instant,
}

/// Maximum time that an attempt waits for the permit of a further upstream, since it keeps a
/// concurrency slot from others meanwhile.
const MAX_FURTHER_WAIT: Duration = Duration::from_secs(5);
/// Maximum time until a task that found its upstream paused is due again.
const PAUSE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

impl<'a> AttemptContext<'a> {
    /// Creates the context of an attempt that has not sent anything.
    pub(crate) fn new(
        task: &'a ClaimedTask,
        permit: Option<&'a mut UpstreamPermit>,
        limiters: Option<&'a Limiters>,
        latest_request_start: Instant,
    ) -> Self {
        Self {
            task,
            permit,
            has_used_permit: false,
            further_permits: Vec::new(),
            limiters,
            last_upstream: None,
            latest_request_start,
        }
    }

    /// Whether a request may have been sent: none is sent before the first rate permit is used.
    pub(crate) fn may_have_sent(&self) -> bool {
        self.has_used_permit || !self.further_permits.is_empty()
    }

    /// Returns the upstream of the last request, which a cooldown is about.
    pub(crate) fn into_last_upstream(self) -> Option<String> {
        self.last_upstream
    }

    /// Acquires a rate permit for one request. The first call confirms the permit that
    /// the runner acquired before the claim. Each further call waits for the next permit,
    /// as long as there is time left for a request. Without an upstream it returns at once.
    ///
    /// # Errors
    /// The upstream is in a cooldown, its next permit is too far ahead, the rate
    /// limiter can't be used, or earlier requests took all the time.
    pub async fn acquire_rate_permit(&mut self) -> Result<(), AttemptError> {
        let latest = self.latest_request_start;
        let had_used_permit = std::mem::replace(&mut self.has_used_permit, true);
        let acquired = match self.permit.as_deref_mut() {
            None => return Ok(()),
            Some(permit) if !had_used_permit => permit.confirm(latest).await,
            Some(_) if Instant::now() > latest => return Err(self.too_slow_error()),
            Some(permit) => permit.acquire_next(latest).await,
        };
        let upstream = self.permit.as_deref().map(|it| it.upstream_name().to_owned());
        if let Err(error) = acquired {
            return Err(self.no_permit_error(upstream.as_deref(), &error).await);
        }
        self.last_upstream = upstream;
        Ok(())
    }

    /// Acquires a rate permit of `upstream` for one request. It is the same as
    /// [`acquire_rate_permit`](Self::acquire_rate_permit) if the handler is registered with
    /// `upstream`; otherwise the first call also acquires a concurrency slot.
    ///
    /// # Errors
    /// The same as those of [`acquire_rate_permit`](Self::acquire_rate_permit), or no
    /// concurrency slot was free within [`MAX_FURTHER_WAIT`].
    pub async fn acquire_rate_permit_of(&mut self, upstream: &str) -> Result<(), AttemptError> {
        if self.permit.as_deref().is_some_and(|permit| permit.upstream_name() == upstream) {
            return self.acquire_rate_permit().await;
        }
        let (latest, now) = (self.latest_request_start, Instant::now());
        let Some(limiters) = self.limiters else { return Ok(()) };
        if now > latest {
            return Err(self.too_slow_error());
        }
        let known = self.further_permits.iter_mut().find(|it| it.upstream_name() == upstream);
        let acquired = match known {
            Some(permit) => permit.acquire_next(latest).await,
            None => {
                match limiters.acquire_until(upstream, latest.min(now + MAX_FURTHER_WAIT)).await {
                    Ok(mut permit) => {
                        let confirmed = permit.confirm(latest).await;
                        if confirmed.is_ok() {
                            self.further_permits.push(permit);
                        }
                        confirmed
                    }
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = acquired {
            return Err(self.no_permit_error(Some(upstream), &error).await);
        }
        self.last_upstream = Some(upstream.to_owned());
        Ok(())
    }

    /// Reports what an answer says about the upstream's own limit.
    pub async fn report_pace(&mut self, report: PaceReport) {
        if let Some(permit) = self.permit.as_deref_mut() {
            permit.report_pace(report).await;
        }
    }

    /// Returns the error of an attempt without a permit. The task is put back, and its next
    /// attempt has to find out again what this one has already done.
    async fn no_permit_error(&self, upstream: Option<&str>, error: &AcquireError) -> AttemptError {
        AttemptError::NoRatePermit {
            reason: wait_reason(error),
            detail: match self.limiters {
                Some(limiters) => wait_detail(limiters, upstream, error).await,
                None => None,
            },
            wait: no_permit_delay(error),
            outcome_unknown: false,
        }
    }

    /// Returns the error of a handler that has no time left for a further request. It
    /// counts as a failed attempt: a task that is put back without cost could start over
    /// for ever.
    fn too_slow_error(&self) -> AttemptError {
        let error = AttemptError::retry("timeout", "The service answered too slowly to go on.");
        self.keep_unknown(error)
    }

    /// Returns the error of a call that does not clarify what became of an earlier one: an
    /// outcome that was unknown stays so.
    #[must_use]
    pub fn keep_unknown(&self, error: AttemptError) -> AttemptError {
        match error {
            error if !self.task.outcome_unknown() => error,
            AttemptError::Failed(outcome) | AttemptError::Rejected(outcome) => {
                AttemptError::NeedsReview(outcome)
            }
            error => error.with_outcome_unknown(),
        }
    }

    /// Waits, by putting the task back, until an earlier call whose outcome is unknown can no
    /// longer be on its way. Until then, a missing effect proves nothing: the call may still
    /// arrive. `settle_time` is the time after the end of an attempt in which its last call
    /// may still have its effect.
    ///
    /// # Errors
    /// The time is not over; this costs no attempt.
    pub fn ensure_settled(&self, settle_time: Duration) -> Result<(), AttemptError> {
        let Some(since) = self.task.unknown_since else { return Ok(()) };
        let passed_ms = self.task.started_at.saturating_sub(since);
        let left_ms = whole_millis(settle_time).saturating_sub(passed_ms);
        match u64::try_from(left_ms) {
            Err(_) | Ok(0) => Ok(()),
            Ok(left_ms) => Err(AttemptError::Wait {
                outcome: Outcome::new("settling", "The service is asked once more."),
                reason: WaitReason::Checking,
                wait: Duration::from_millis(left_ms),
                checkpoint: None,
                record_attempt: false,
            }),
        }
    }
}

/// Returns the delay of a task that got no permit.
pub(crate) fn no_permit_delay(error: &AcquireError) -> Duration {
    match error {
        AcquireError::RetryAfter { wait, .. } => *wait,
        // An admin may end the pause at any time. Until then the relay publishes nothing more, so
        // that few tasks are looked at again.
        AcquireError::Paused { wait, .. } => (*wait).min(PAUSE_CHECK_INTERVAL),
        AcquireError::Limiter(_) => Duration::from_secs(2),
    }
}

/// Returns what people should know about why no permit of `upstream` was acquired, if anything:
/// who has paused the upstream, or what somebody has to do.
pub(crate) async fn wait_detail(
    limiters: &Limiters,
    upstream: Option<&str>,
    error: &AcquireError,
) -> Option<String> {
    match error {
        AcquireError::Paused { pause, .. } => Some(pause.sentence()),
        AcquireError::Limiter(limiter::Error::Misconfigured(action)) => Some(action.clone()),
        AcquireError::RetryAfter { in_cooldown: true, .. } => {
            limiters.cooldown_message(upstream?).await
        }
        AcquireError::Limiter(limiter::Error::Unreachable(_)) | AcquireError::RetryAfter { .. } => {
            None
        }
    }
}

/// Returns what a task waits for that got no permit.
pub(crate) fn wait_reason(error: &AcquireError) -> WaitReason {
    match error {
        AcquireError::RetryAfter { in_cooldown: true, .. } => WaitReason::Cooldown,
        AcquireError::RetryAfter { in_cooldown: false, .. } => WaitReason::RateLimit,
        AcquireError::Paused { .. } => WaitReason::Paused,
        AcquireError::Limiter(_) => WaitReason::LimiterUnavailable,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::{JobId, TaskId, UserId, api::CooldownReason};
    use engine::limiter::{UpstreamLimits, embedded::EmbeddedLimiter};
    use std::sync::Arc;
    use uuid::Uuid;

    const DESCRIBE: &str = "aws/ops/eu-west-1/ec2.describe";
    const START: &str = "aws/ops/eu-west-1/ec2.start";

    fn limiters() -> Limiters {
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream(DESCRIBE, UpstreamLimits { rate: 20.0, concurrency: 4 });
        limiters.add_upstream(START, UpstreamLimits { rate: 2.0, concurrency: 1 });
        limiters
    }

    fn claimed_task() -> ClaimedTask {
        ClaimedTask {
            id: TaskId(Uuid::now_v7()),
            job: JobId(Uuid::now_v7()),
            user: UserId(Uuid::now_v7()),
            kind: "ec2.start".into(),
            key: "i-1".into(),
            channel: None,
            sku: "i-1".into(),
            title: "web".into(),
            row: 0,
            body: serde_json::Value::Null,
            checkpoint: None,
            attempt: 1,
            unknown_since: None,
            only_reconcile: false,
            revision: 0,
            fence: 1,
            started_at: 0,
        }
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_holds_a_slot_of_each_upstream_that_it_calls() {
        let (limiters, task) = (limiters(), claimed_task());
        let mut permit = limiters.acquire(DESCRIBE).await.unwrap();
        let mut context = AttemptContext::new(&task, Some(&mut permit), Some(&limiters), far());
        assert!(!context.may_have_sent());
        context.acquire_rate_permit().await.unwrap();
        let start = Instant::now();
        for _ in 0..3 {
            context.acquire_rate_permit_of(START).await.unwrap();
        }
        // Three calls at 2 per second; the first call of all waits too.
        assert!(start.elapsed() >= Duration::from_millis(1_500), "{:?}", start.elapsed());
        context.acquire_rate_permit_of(DESCRIBE).await.unwrap();
        for upstream in [DESCRIBE, START] {
            assert_eq!(limiters.state(upstream).await.unwrap().in_flight, 1, "{upstream}");
        }
        assert_eq!(context.into_last_upstream().as_deref(), Some(DESCRIBE));
        // Let the slot be released.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(limiters.state(START).await.unwrap().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_further_upstream_is_not_waited_for_for_long() {
        let (limiters, task) = (limiters(), claimed_task());
        let _other = limiters.acquire(START).await.unwrap();
        let mut permit = limiters.acquire(DESCRIBE).await.unwrap();
        let mut context = AttemptContext::new(&task, Some(&mut permit), Some(&limiters), far());
        context.acquire_rate_permit().await.unwrap();
        let start = Instant::now();
        let refused = context.acquire_rate_permit_of(START).await;
        assert!(matches!(refused, Err(AttemptError::NoRatePermit { .. })), "{refused:?}");
        assert_eq!(start.elapsed(), MAX_FURTHER_WAIT);
        assert_eq!(context.into_last_upstream().as_deref(), Some(DESCRIBE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cooldown_of_one_upstream_leaves_the_other_open() {
        let (limiters, task) = (limiters(), claimed_task());
        let minute = Duration::from_secs(60);
        limiters.start_cooldown(START, minute, CooldownReason::Throttled).await;
        let mut permit = limiters.acquire(DESCRIBE).await.unwrap();
        let mut context = AttemptContext::new(&task, Some(&mut permit), Some(&limiters), far());
        context.acquire_rate_permit().await.unwrap();
        let refused = context.acquire_rate_permit_of(START).await;
        let reason = WaitReason::Cooldown;
        assert!(
            matches!(&refused, Err(AttemptError::NoRatePermit { reason: found, .. }) if *found == reason),
            "{refused:?}"
        );
        context.acquire_rate_permit().await.unwrap();
    }
}
