//! What a command's handler is given and what it may answer.

use async_trait::async_trait;
use contract::{
    api::{Outcome, WaitReason, WaitingFor},
    command::Command,
};
use engine::{
    gate::{self, Permit, Refused},
    store::{Claimed, Ending, NewTask},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A handler of one command. It makes its calls, and says how they ended;
/// state, retries, locks and news are the runner's.
#[async_trait]
pub trait Handler<C: Command>: Send + Sync + 'static {
    async fn run(&self, command: C, call: &mut Call<'_>) -> Answer;
}

/// How a handler's attempt ended.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Done {
        outcome: Outcome,
        follow_ups: Vec<NewTask>,
    },
    /// Another try would end the same.
    Failed(Outcome),
    /// Worth another try. `unsure`: the call may have had its effect.
    Retry {
        outcome: Outcome,
        unsure: bool,
    },
    /// The service said: nobody before `wait`.
    Closed {
        outcome: Outcome,
        wait: Duration,
    },
    /// No slot for a further call: the gate said so, not the service.
    Paced {
        waiting: WaitReason,
        wait: Duration,
    },
    /// Something takes its time and needs no slot meanwhile.
    Wait {
        outcome: Outcome,
        reason: WaitReason,
        wait: Duration,
        memo: Value,
        quiet: bool,
    },
    /// Can't tell whether the effect happened.
    NeedsPerson(Outcome),
}

impl Answer {
    /// As the store takes it. `now` is UTC ms.
    pub(crate) fn ending(self, now: i64) -> Ending {
        let until = |wait: Duration| now + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        match self {
            Self::Done { outcome, follow_ups } => Ending::Succeeded { outcome, follow_ups },
            Self::Failed(outcome) => Ending::Failed { outcome },
            Self::Retry { outcome, unsure } => Ending::Retry { outcome, unsure },
            Self::NeedsPerson(outcome) => Ending::NeedsPerson { outcome },
            Self::Closed { outcome, wait } => Ending::Wait {
                waiting_for: WaitingFor {
                    reason: WaitReason::Closed,
                    until: Some(until(wait)),
                    detail: Some(outcome.message.clone()),
                },
                outcome,
                until: until(wait),
                memo: None,
                quiet: false,
            },
            Self::Paced { waiting, wait } => Ending::Wait {
                waiting_for: WaitingFor { reason: waiting, until: Some(until(wait)), detail: None },
                outcome: outcome("paced", "The account's next turn is waited for."),
                until: until(wait),
                memo: None,
                quiet: true,
            },
            Self::Wait { outcome, reason, wait, memo, quiet } => Ending::Wait {
                waiting_for: WaitingFor {
                    reason,
                    until: None,
                    detail: Some(outcome.message.clone()),
                },
                outcome,
                until: until(wait),
                memo: Some(memo),
                quiet,
            },
        }
    }
}

/// One claimed task, and the slot of its account that the runner holds.
pub struct Call<'a> {
    pub task: &'a Claimed,
    /// None where no account is called.
    pub(crate) permit: Option<&'a mut Permit>,
    pub(crate) used: bool,
    /// A request that began later could be cut off in the middle.
    pub(crate) latest: Instant,
}

impl Call<'_> {
    /// Leave for one request. The first is the slot that the runner took;
    /// each further one is waited for, as long as a request can still follow.
    ///
    /// # Errors
    /// The account is closed, its slots are too far ahead, the gates can't be
    /// reached, or the requests before took all the time: answer with it.
    pub async fn slot(&mut self) -> Result<(), Answer> {
        let (latest, used) = (self.latest, std::mem::replace(&mut self.used, true));
        let slot = match self.permit.as_deref_mut() {
            None => return Ok(()),
            Some(permit) if !used => permit.fresh(latest).await,
            Some(_) if Instant::now() > latest => return Err(self.slow()),
            Some(permit) => permit.again(latest).await,
        };
        // What the task has done so far must be asked again.
        slot.map_err(|refused| Answer::Paced {
            waiting: waiting_for(&refused),
            wait: after(&refused),
        })
    }

    /// Costs an attempt: put off for nothing it would begin anew for ever.
    fn slow(&self) -> Answer {
        let message = "The service answered too slowly to go on.";
        Answer::Retry { outcome: outcome("timeout", message), unsure: self.task.unsure }
    }
}

/// How long a task is put off that was not let in.
pub(crate) fn after(refused: &Refused) -> Duration {
    match refused {
        Refused::Later { wait, .. } => *wait,
        Refused::Unreachable(_) => Duration::from_secs(2),
    }
}

/// What a person has to do before a task can be let in, if anything.
pub(crate) fn what_to_do(refused: &Refused) -> Option<String> {
    match refused {
        Refused::Unreachable(gate::Error::Unusable(what_to_do)) => Some(what_to_do.clone()),
        Refused::Unreachable(gate::Error::Unreachable(_)) | Refused::Later { .. } => None,
    }
}

/// What a task waits for that was not let in.
pub(crate) fn waiting_for(refused: &Refused) -> WaitReason {
    match refused {
        Refused::Later { closed: true, .. } => WaitReason::Closed,
        Refused::Later { closed: false, .. } => WaitReason::Pace,
        Refused::Unreachable(_) => WaitReason::Gate,
    }
}

/// An outcome in one line.
pub fn outcome(code: impl Into<String>, message: impl Into<String>) -> Outcome {
    Outcome { code: code.into(), message: message.into(), reference: None }
}
