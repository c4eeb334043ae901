//! Outcome of an attempt, as its handler reports it. `finish` decides what the state
//! machine does with it.

use super::NewTask;
use contract::api::{CooldownReason, Outcome, WaitReason};
use serde_json::Value as Json;
use std::time::Duration;

/// Outcome of an attempt.
pub type AttemptOutcome = Result<Success, AttemptError>;

/// The task is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    /// Result for people and the journal.
    pub outcome: Outcome,
    /// Next tasks of the chain.
    pub follow_ups: Vec<NewTask>,
}

impl Success {
    /// Creates the result of a task that ends its chain.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, follow_ups: Vec::new() }
    }

    /// Adds a task that starts once the success is committed.
    #[must_use]
    pub fn with_follow_up(mut self, task: NewTask) -> Self {
        self.follow_ups.push(task);
        self
    }
}

/// Reason why an attempt has not completed its task. Durations begin when the outcome is
/// saved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttemptError {
    /// Permanent failure: another attempt would end in the same way.
    #[error("failed: {}", .0.message)]
    Failed(Outcome),
    /// Transient failure: the task is retried until it has used all its attempts.
    #[error("failed temporarily: {}", .outcome.message)]
    Retry {
        /// Reason for people and the journal.
        outcome: Outcome,
        /// Whether the call may have had its effect.
        outcome_unknown: bool,
    },
    /// The service asked its callers to wait: nobody calls it before the wait is over. It
    /// costs no attempt.
    #[error("the service asked to wait for {wait:?}: {}", .outcome.message)]
    Cooldown {
        /// Reason for people and the journal.
        outcome: Outcome,
        /// How the service asked for it.
        reason: CooldownReason,
        /// Duration of the cooldown.
        wait: Duration,
    },
    /// There is no rate permit for a further request: a limit of the rate limiter, not an
    /// answer of the service. It costs no attempt, and the attempt is not recorded.
    #[error("no rate permit within {wait:?}: {}", .reason.as_str())]
    NoRatePermit {
        /// Why there is none.
        reason: WaitReason,
        /// Time until the task is due again.
        wait: Duration,
    },
    /// The task waits for something that takes time and needs no concurrency slot, such as
    /// a machine that starts. It costs no attempt.
    #[error("waits for {wait:?}: {}", .outcome.message)]
    Wait {
        /// Reason for people and the journal.
        outcome: Outcome,
        /// Kind of thing that is waited for.
        reason: WaitReason,
        /// Time until the task is due again.
        wait: Duration,
        /// Value that the next claim receives. Boxed, so that every result stays small.
        checkpoint: Box<Json>,
        /// Whether the attempt appears in the history of the task.
        record_attempt: bool,
    },
    /// Nobody can tell whether the effect happened: a person has to decide.
    #[error("needs review: {}", .0.message)]
    NeedsReview(Outcome),
}

impl AttemptError {
    /// Creates a permanent failure.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Outcome::new(code, message))
    }

    /// Creates a transient failure of a call that had no effect.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry { outcome: Outcome::new(code, message), outcome_unknown: false }
    }

    /// Creates a transient failure of a call that may have had its effect.
    pub fn retry_outcome_unknown(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::retry(code, message).with_outcome_unknown()
    }

    /// Marks the outcome of a transient failure as unknown. Other errors stay as they are.
    #[must_use]
    pub fn with_outcome_unknown(self) -> Self {
        match self {
            Self::Retry { outcome, .. } => Self::Retry { outcome, outcome_unknown: true },
            other => other,
        }
    }

    fn clean(self) -> Self {
        match self {
            Self::Failed(outcome) => Self::Failed(outcome.clean()),
            Self::Retry { outcome, outcome_unknown } => {
                Self::Retry { outcome: outcome.clean(), outcome_unknown }
            }
            Self::Cooldown { outcome, reason, wait } => {
                Self::Cooldown { outcome: outcome.clean(), reason, wait }
            }
            Self::NoRatePermit { reason, wait } => Self::NoRatePermit { reason, wait },
            Self::Wait { outcome, reason, wait, checkpoint, record_attempt } => {
                Self::Wait { outcome: outcome.clean(), reason, wait, checkpoint, record_attempt }
            }
            Self::NeedsReview(outcome) => Self::NeedsReview(outcome.clean()),
        }
    }
}

/// Sanitizes texts of external services for storage.
pub(super) fn clean(outcome: AttemptOutcome) -> AttemptOutcome {
    match outcome {
        Ok(Success { outcome, follow_ups }) => Ok(Success { outcome: outcome.clean(), follow_ups }),
        Err(error) => Err(error.clean()),
    }
}
