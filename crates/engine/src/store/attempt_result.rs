//! Result of an attempt, as its handler reports it. `finish` decides what the state
//! machine does with it.

use super::NewTask;
use contract::api::{CooldownReason, Outcome, WaitReason};
use contract::state::Effect;
use serde_json::Value as Json;
use std::time::Duration;

/// Result of an attempt, as its handler reports it.
pub type AttemptResult = Result<Success, AttemptError>;

/// The task is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    /// Result for people and the journal.
    pub outcome: Outcome,
    /// What changed at the service; `None` where that is not known, or not applicable.
    pub effect: Option<Effect>,
    /// Next tasks of the chain.
    pub follow_ups: Vec<NewTask>,
}

impl Success {
    /// Creates the result of a task that ends its chain.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, effect: None, follow_ups: Vec::new() }
    }

    /// Adds what changed at the service.
    #[must_use]
    pub fn with_effect(self, effect: Effect) -> Self {
        Self { effect: Some(effect), ..self }
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
    /// Permanent failure that is not about the content, such as a service that can't be
    /// called with this configuration. A person can retry it once the reason is gone.
    #[error("failed: {}", .0.message)]
    Failed(Outcome),
    /// The service refuses the content: another attempt would end in the same way, until a
    /// person corrects it.
    #[error("rejected: {}", .0.message)]
    Rejected(Outcome),
    /// The effect has not happened, and the attempt changed nothing. For attempts that may only
    /// reconcile ([`ClaimedTask::only_reconcile`](super::ClaimedTask::only_reconcile)): the
    /// task is cancelled. If its job is not being cancelled after all, it is due at once.
    #[error("not done: {}", .0.message)]
    NotDone(Outcome),
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
        /// Whether an earlier call of the attempt has had an effect, or may have.
        outcome_unknown: bool,
    },
    /// There is no rate permit for a further request: a limit of the rate limiter, not an
    /// answer of the service. It costs no attempt, and the attempt is not recorded.
    #[error("no rate permit within {wait:?}: {}", .reason.as_str())]
    NoRatePermit {
        /// Why there is none.
        reason: WaitReason,
        /// Details for people, such as what to do before the upstream is called again.
        detail: Option<String>,
        /// Time until the task is due again.
        wait: Duration,
        /// Whether an earlier call of the attempt has had an effect, or may have.
        outcome_unknown: bool,
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
        /// Value that the next claim receives; `None` keeps the last one. Boxed, so that
        /// every result stays small.
        checkpoint: Option<Box<Json>>,
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

    /// Creates a rejection of the content.
    pub fn rejected(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Rejected(Outcome::new(code, message))
    }

    /// Creates the result of a reconciliation that found no effect.
    pub fn not_done(message: impl Into<String>) -> Self {
        Self::NotDone(Outcome::new("not_done", message))
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

    /// Creates a cooldown after a call that had no effect.
    pub fn cooldown(outcome: Outcome, reason: CooldownReason, wait: Duration) -> Self {
        Self::Cooldown { outcome, reason, wait, outcome_unknown: false }
    }

    /// Marks the outcome as unknown because an earlier call of the attempt has had an effect:
    /// a task that is stopped now has done a part of its work.
    #[must_use]
    pub fn after_effect(self) -> Self {
        match self {
            Self::Cooldown { outcome, reason, wait, .. } => {
                Self::Cooldown { outcome, reason, wait, outcome_unknown: true }
            }
            Self::NoRatePermit { reason, detail, wait, .. } => {
                Self::NoRatePermit { reason, detail, wait, outcome_unknown: true }
            }
            other => other.with_outcome_unknown(),
        }
    }

    fn clean(self) -> Self {
        match self {
            Self::Failed(outcome) => Self::Failed(outcome.clean()),
            Self::Rejected(outcome) => Self::Rejected(outcome.clean()),
            Self::NotDone(outcome) => Self::NotDone(outcome.clean()),
            Self::Retry { outcome, outcome_unknown } => {
                Self::Retry { outcome: outcome.clean(), outcome_unknown }
            }
            Self::Cooldown { outcome, reason, wait, outcome_unknown } => {
                Self::Cooldown { outcome: outcome.clean(), reason, wait, outcome_unknown }
            }
            permit @ Self::NoRatePermit { .. } => permit,
            Self::Wait { outcome, reason, wait, checkpoint, record_attempt } => {
                Self::Wait { outcome: outcome.clean(), reason, wait, checkpoint, record_attempt }
            }
            Self::NeedsReview(outcome) => Self::NeedsReview(outcome.clean()),
        }
    }
}

/// Sanitizes texts of external services for storage.
pub(super) fn clean(result: AttemptResult) -> AttemptResult {
    match result {
        Ok(success) => Ok(Success { outcome: success.outcome.clean(), ..success }),
        Err(error) => Err(error.clean()),
    }
}
