//! Port to the handler of a command, and the context of an attempt.

use async_trait::async_trait;
use contract::{api::WaitReason, command::Command};
use engine::{
    limiter::{self, AcquireError, Permit},
    store::{AttemptError, ClaimedTask, Success},
};
use std::time::Duration;
use tokio::time::Instant;

/// Handler of one command. It makes the calls and reports their outcome; the
/// runner sees to state, retries, locks and notifications.
#[async_trait]
pub trait Handler<C: Command>: Send + Sync + 'static {
    /// Runs one attempt. Call [`AttemptContext::acquire_rate_permit`] before each
    /// request. The runner stops a handler that takes longer than five sixths of
    /// the lease.
    ///
    /// # Errors
    /// The task is not done: the error says whether it failed, and when it is tried
    /// again.
    async fn run(
        &self,
        command: C,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError>;
}

/// Context of one attempt: the claimed task, and the permit of its upstream that the
/// runner holds.
pub struct AttemptContext<'a> {
    /// The task.
    pub task: &'a ClaimedTask,
    /// `None` if no upstream is called.
    pub(crate) permit: Option<&'a mut Permit>,
    pub(crate) has_used_permit: bool,
    /// The handler timeout could cut off a request that starts later.
    pub(crate) latest_request_start: Instant,
}

impl AttemptContext<'_> {
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
        // The task is deferred, and its next attempt has to find out again what this one
        // has already done.
        acquired.map_err(|error| AttemptError::NoRatePermit {
            reason: wait_reason(&error),
            wait: retry_delay(&error),
        })
    }

    /// Returns the error of a handler that has no time left for a further request. It
    /// counts as a failed attempt: a task that is deferred without cost could start over
    /// for ever.
    fn too_slow_error(&self) -> AttemptError {
        let error = AttemptError::retry("timeout", "The service answered too slowly to go on.");
        if self.task.outcome_unknown { error.with_outcome_unknown() } else { error }
    }
}

/// Returns the delay of a task that got no permit.
pub(crate) fn retry_delay(error: &AcquireError) -> Duration {
    match error {
        AcquireError::RetryAfter { wait, .. } => *wait,
        AcquireError::Limiter(_) => Duration::from_secs(2),
    }
}

/// Returns what an operator has to do before a permit can be acquired, if anything.
pub(crate) fn operator_action(error: &AcquireError) -> Option<String> {
    match error {
        AcquireError::Limiter(limiter::Error::Misconfigured(action)) => Some(action.clone()),
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
        AcquireError::Limiter(_) => WaitReason::LimiterUnavailable,
    }
}
