//! Port to the handler of a command: its context, and the outcomes that it reports.

use async_trait::async_trait;
use contract::{
    api::{CooldownReason, Outcome, WaitReason, WaitingFor},
    command::Command,
};
use engine::{
    clock::whole_millis,
    limiter::{self, AcquireError, Permit},
    store::{AttemptOutcome, ClaimedTask, NewTask},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Handler of one command. It makes the calls and reports their outcome; the
/// runner sees to state, retries, locks and notifications.
#[async_trait]
pub trait Handler<C: Command>: Send + Sync + 'static {
    /// Runs one attempt. Call [`AttemptContext::acquire_rate_permit`] before each
    /// request. The runner stops a handler that takes longer than five sixths of
    /// the lease.
    async fn run(&self, command: C, context: &mut AttemptContext<'_>) -> HandlerOutcome;
}

/// Outcome of an attempt, as a handler reports it.
#[derive(Debug, PartialEq)]
pub enum HandlerOutcome {
    /// The task is done.
    Succeeded {
        /// Shown to people.
        outcome: Outcome,
        /// Next tasks of the chain.
        follow_ups: Vec<NewTask>,
    },
    /// Permanent failure: a retry would end the same way.
    Failed(Outcome),
    /// Transient failure: the task is retried, and the attempt counts.
    Retry {
        /// Shown to people.
        outcome: Outcome,
        /// Whether the call may have had its effect.
        outcome_unknown: bool,
    },
    /// The service asked its callers to wait: nobody calls it before then.
    Cooldown {
        /// Shown to people.
        outcome: Outcome,
        /// How the service asked for it.
        reason: CooldownReason,
        /// Duration of the cooldown.
        wait: Duration,
    },
    /// No rate permit for a further request: a limit of the rate limiter, not an
    /// answer of the service.
    NoRatePermit {
        /// Why there is none.
        reason: WaitReason,
        /// Time until the task is due again.
        wait: Duration,
    },
    /// The task waits for something that takes time and needs no concurrency slot.
    Wait {
        /// Shown to people.
        outcome: Outcome,
        /// Kind of thing that is waited for.
        reason: WaitReason,
        /// Time until the task is due again.
        wait: Duration,
        /// Value that the next claim receives.
        checkpoint: Value,
        /// Whether the attempt appears in the history of the task.
        record_attempt: bool,
    },
    /// Nobody can tell whether the effect happened: a person has to decide.
    NeedsReview(Outcome),
}

impl HandlerOutcome {
    /// Converts the outcome to the store's type. `now` is in UTC ms.
    pub(crate) fn into_attempt_outcome(self, now: i64) -> AttemptOutcome {
        let until = |wait: Duration| now + whole_millis(wait);
        match self {
            Self::Succeeded { outcome, follow_ups } => {
                AttemptOutcome::Succeeded { outcome, follow_ups }
            }
            Self::Failed(outcome) => AttemptOutcome::Failed { outcome },
            Self::Retry { outcome, outcome_unknown } => {
                AttemptOutcome::Retry { outcome, outcome_unknown }
            }
            Self::NeedsReview(outcome) => AttemptOutcome::NeedsReview { outcome },
            Self::Cooldown { outcome, wait, .. } => AttemptOutcome::Wait {
                waiting_for: WaitingFor {
                    reason: WaitReason::Cooldown,
                    until: Some(until(wait)),
                    detail: Some(outcome.message.clone()),
                },
                outcome,
                until: until(wait),
                checkpoint: None,
                record_attempt: true,
            },
            Self::NoRatePermit { reason, wait } => AttemptOutcome::Wait {
                waiting_for: WaitingFor { reason, until: Some(until(wait)), detail: None },
                outcome: new_outcome("no_rate_permit", "Waiting for the next rate permit."),
                until: until(wait),
                checkpoint: None,
                record_attempt: false,
            },
            Self::Wait { outcome, reason, wait, checkpoint, record_attempt } => {
                AttemptOutcome::Wait {
                    waiting_for: WaitingFor {
                        reason,
                        until: None,
                        detail: Some(outcome.message.clone()),
                    },
                    outcome,
                    until: until(wait),
                    checkpoint: Some(checkpoint),
                    record_attempt,
                }
            }
        }
    }
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
    /// limiter can't be used, or earlier requests took all the time. The handler
    /// returns the error as its outcome.
    pub async fn acquire_rate_permit(&mut self) -> Result<(), HandlerOutcome> {
        let latest = self.latest_request_start;
        let had_used_permit = std::mem::replace(&mut self.has_used_permit, true);
        let acquired = match self.permit.as_deref_mut() {
            None => return Ok(()),
            Some(permit) if !had_used_permit => permit.confirm(latest).await,
            Some(_) if Instant::now() > latest => return Err(self.too_slow_outcome()),
            Some(permit) => permit.acquire_next(latest).await,
        };
        // The task is deferred, and its next attempt has to find out again what this one
        // has already done.
        acquired.map_err(|error| HandlerOutcome::NoRatePermit {
            reason: wait_reason(&error),
            wait: retry_delay(&error),
        })
    }

    /// Returns the outcome of a handler that has no time left for a further request. It
    /// counts as a failed attempt: a task that is deferred without cost could start over
    /// for ever.
    fn too_slow_outcome(&self) -> HandlerOutcome {
        let message = "The service answered too slowly to go on.";
        HandlerOutcome::Retry {
            outcome: new_outcome("timeout", message),
            outcome_unknown: self.task.outcome_unknown,
        }
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

/// Creates an outcome with a code and a message of one line.
pub fn new_outcome(code: impl Into<String>, message: impl Into<String>) -> Outcome {
    Outcome { code: code.into(), message: message.into(), reference: None }
}
