//! `ec2.start`: starts a machine, waits until it runs, then has its alarm created.

#[cfg(test)]
mod tests;

use crate::{
    connector::ec2::{Ec2Client, machine_watcher::MachineWatcher},
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use contract::{
    api::{Outcome, WaitReason},
    command::{AlarmCreate, Command, Ec2Start},
};
use engine::{
    clock::whole_millis,
    store::{AttemptError, ClaimedTask, NewTask, Success},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Handler of `ec2.start`, for the machines of one account and region. It is registered with the
/// upstream of the descriptions.
pub struct Ec2StartHandler {
    /// Client of EC2 and CloudWatch.
    pub ec2: Ec2Client,
    /// Watcher of the machines that start.
    pub watcher: Arc<MachineWatcher>,
    /// Upstream of `StartInstances`; it may be that of the descriptions.
    pub start_upstream: String,
    /// Interval at which a machine that starts is polled.
    pub poll_interval: Duration,
    /// Maximum time that a machine may be starting, under one number of an attempt, because a
    /// wait costs none.
    pub start_timeout: Duration,
}

/// Number of the attempt from which a machine that EC2 doesn't have is an error. Before that it
/// may have been launched just now: EC2 is eventually consistent.
const UNKNOWN_MACHINE_FAILS_FROM: u32 = 3;

/// Checkpoint of a machine that starts.
#[derive(Serialize, Deserialize)]
struct StartCheckpoint {
    /// Number of the attempt that wrote it; `run` ignores that of another attempt.
    attempt: u32,
    /// Time until which the machine may be starting: UTC ms, by the clock of claims.
    deadline_ms: i64,
}

#[async_trait]
impl Handler<Ec2Start> for Ec2StartHandler {
    const MAY_CAUSE: &'static [&'static str] = &[AlarmCreate::KIND];

    /// Reads the state of the machine before anything else: someone else may have
    /// started it, or this task may have and the response was lost.
    async fn run(
        &self,
        command: Ec2Start,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let checkpoint = load_checkpoint(context.task);
        let Some(state) = self.read_state(&command, context, checkpoint.is_some()).await? else {
            return Err(context.keep_unknown(self.unknown_machine(&command, context.task)));
        };
        match (state.as_str(), checkpoint) {
            ("running", _) => running(command, context.task),
            ("pending", Some(checkpoint)) if context.task.started_at >= checkpoint.deadline_ms => {
                let seconds = self.start_timeout.as_secs();
                let message = format!("The machine was not running after {seconds} s.");
                Err(AttemptError::retry("start_timeout", message))
            }
            ("pending", Some(checkpoint)) => Err(self.wait(&checkpoint, false)),
            ("pending", None) => Err(self.wait(&self.new_checkpoint(context.task), true)),
            ("shutting-down" | "terminated", _) => {
                Err(AttemptError::failed(state.as_str(), "The machine was terminated."))
            }
            // Someone stopped it, or EC2 gave up. The retry costs an attempt, because
            // this could repeat for ever.
            (_, Some(_)) => {
                let message = format!("The machine was {state} after its start.");
                Err(AttemptError::retry(state.as_str(), message))
            }
            ("stopping", None) => {
                Err(AttemptError::retry(state.as_str(), "The machine was being stopped."))
            }
            (_, None) => {
                context.acquire_rate_permit_of(&self.start_upstream).await?;
                self.ec2.start_instance(&command.instance_id).await?;
                Err(self.wait(&self.new_checkpoint(context.task), true))
            }
        }
    }

    /// Waits for a machine that this task has started, and starts none.
    async fn reconcile(
        &self,
        command: Ec2Start,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let checkpoint = parse_checkpoint(context.task);
        let state = self.read_state(&command, context, checkpoint.is_some()).await?;
        let state = state.as_deref().unwrap_or("unknown");
        match (state, checkpoint) {
            ("running", _) => running(command, context.task),
            ("pending", Some(checkpoint)) if context.task.started_at >= checkpoint.deadline_ms => {
                let message = "Nobody can tell whether the machine will still start.";
                Err(AttemptError::retry_outcome_unknown("start_timeout", message))
            }
            ("pending", Some(checkpoint)) => Err(self.wait(&checkpoint, false)),
            ("pending", None) => Err(self.wait(&self.new_checkpoint(context.task), true)),
            (_, Some(_)) => {
                let message = format!("The machine was {state} after its start.");
                Err(AttemptError::failed(state, message))
            }
            (_, None) => {
                context.ensure_settled(self.poll_interval * 2)?;
                Err(AttemptError::not_done("The machine was not started."))
            }
        }
    }
}

impl Ec2StartHandler {
    /// Returns EC2's name of the machine's state; `None` if EC2 has no such machine. A poll may
    /// use what another one has read since the machine was last polled.
    async fn read_state(
        &self,
        command: &Ec2Start,
        context: &mut AttemptContext<'_>,
        is_poll: bool,
    ) -> Result<Option<String>, AttemptError> {
        let max_age = if is_poll { self.poll_interval / 2 } else { Duration::ZERO };
        let read = self.watcher.state(&command.instance_id, max_age, context).await;
        read.map_err(|error| context.keep_unknown(error))
    }

    fn unknown_machine(&self, command: &Ec2Start, task: &ClaimedTask) -> AttemptError {
        const CODE: &str = "InvalidInstanceID.NotFound";
        let (account, region) = (self.ec2.account(), self.ec2.region());
        let id = &command.instance_id;
        let message = format!("The account “{account}” has no machine {id} in {region}.");
        match task.attempt {
            UNKNOWN_MACHINE_FAILS_FROM.. => AttemptError::failed(CODE, message),
            _ => AttemptError::retry(CODE, message),
        }
    }

    fn new_checkpoint(&self, task: &ClaimedTask) -> StartCheckpoint {
        let max_start_ms = whole_millis(self.start_timeout);
        StartCheckpoint {
            attempt: task.attempt,
            deadline_ms: task.started_at.saturating_add(max_start_ms),
        }
    }

    fn wait(&self, checkpoint: &StartCheckpoint, record_attempt: bool) -> AttemptError {
        AttemptError::Wait {
            outcome: Outcome::new("starting", "EC2 is starting the machine."),
            reason: WaitReason::Machine,
            wait: self.poll_interval,
            checkpoint: Some(Box::new(json!(checkpoint))),
            record_attempt,
        }
    }
}

/// Returns the checkpoint that was saved under the number of this attempt.
fn load_checkpoint(task: &ClaimedTask) -> Option<StartCheckpoint> {
    let checkpoint = parse_checkpoint(task)?;
    (checkpoint.attempt == task.attempt).then_some(checkpoint)
}

fn parse_checkpoint(task: &ClaimedTask) -> Option<StartCheckpoint> {
    serde_json::from_value(task.checkpoint.clone()?).ok()
}

/// Returns the success of a machine that runs, and has its alarm created next.
fn running(
    Ec2Start { instance_id, name, account, region }: Ec2Start,
    task: &ClaimedTask,
) -> Result<Success, AttemptError> {
    let alarm =
        AlarmCreate { instance_id: instance_id.clone(), name: name.clone(), account, region };
    let follow_up = NewTask::new(&alarm, None, instance_id, name, task.row)
        .map_err(|error| AttemptError::failed("invalid_follow_up", error.to_string()))?;
    // This is the task's first look at the machine, so it was not this task that started it.
    let was_running = task.attempt == 1 && !task.outcome_unknown() && task.checkpoint.is_none();
    let message =
        if was_running { "The machine was running already." } else { "The machine is running." };
    let outcome = Outcome::new("running", message);
    Ok(Success::new(outcome).with_follow_up(follow_up))
}
