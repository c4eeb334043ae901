//! `ec2.stop`: stops a machine, and waits until it is stopped.

use crate::{
    connector::ec2::{Ec2Client, machine_watcher::MachineWatcher},
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use contract::{
    api::{Outcome, WaitReason},
    command::Ec2Stop,
};
use engine::{
    clock::whole_millis,
    store::{AttemptError, ClaimedTask, Success},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Handler of `ec2.stop`, for the machines of one account and region. It is registered with the
/// upstream of the descriptions.
pub struct Ec2StopHandler {
    /// Client of EC2 and CloudWatch.
    pub ec2: Ec2Client,
    /// Watcher of the machines that start and stop.
    pub watcher: Arc<MachineWatcher>,
    /// Upstream of `StopInstances`; it may be that of the descriptions.
    pub stop_upstream: String,
    /// Interval at which a machine that stops is polled.
    pub poll_interval: Duration,
    /// Maximum time that a machine may be stopping. EC2 forces a stop after some minutes.
    pub stop_timeout: Duration,
}

/// Checkpoint of a machine that stops.
#[derive(Serialize, Deserialize)]
struct StopCheckpoint {
    /// Number of the attempt that wrote it.
    attempt: u32,
    /// Time until which the machine may be stopping: UTC ms, by the clock of claims.
    deadline_ms: i64,
}

#[async_trait]
impl Handler<Ec2Stop> for Ec2StopHandler {
    /// Reads the state of the machine before anything else: stopping it again would only cost a
    /// call, but a machine that is starting can't be stopped.
    async fn run(
        &self,
        command: Ec2Stop,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let checkpoint = parse_checkpoint(context.task);
        let checkpoint = checkpoint.filter(|it| it.attempt == context.task.attempt);
        let state = self.read_state(&command, context, checkpoint.is_some()).await?;
        match (state.as_deref(), checkpoint) {
            (None, _) => Err(context.keep_unknown(self.unknown_machine(&command))),
            (Some("stopped" | "terminated"), _) => Ok(stopped(context.task)),
            (Some("stopping" | "shutting-down"), Some(checkpoint)) => {
                if context.task.started_at < checkpoint.deadline_ms {
                    return Err(self.wait(&checkpoint, false));
                }
                let seconds = self.stop_timeout.as_secs();
                let message = format!("The machine was not stopped after {seconds} s.");
                Err(AttemptError::retry("stop_timeout", message))
            }
            (Some("stopping" | "shutting-down"), None) => {
                Err(self.wait(&self.new_checkpoint(context.task), true))
            }
            (Some(state), Some(_)) => {
                let message = format!("The machine was {state} after its stop.");
                Err(AttemptError::retry(state, message))
            }
            (Some("pending"), None) => {
                Err(AttemptError::retry("pending", "The machine was being started."))
            }
            (Some(_), None) => {
                context.acquire_rate_permit_of(&self.stop_upstream).await?;
                self.ec2.stop_instance(&command.instance_id).await?;
                Err(self.wait(&self.new_checkpoint(context.task), true))
            }
        }
    }

    /// Waits for a machine that this task has stopped, and stops none.
    async fn reconcile(
        &self,
        command: Ec2Stop,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let checkpoint = parse_checkpoint(context.task);
        let state = self.read_state(&command, context, checkpoint.is_some()).await?;
        match (state.as_deref(), checkpoint) {
            (Some("stopped" | "terminated"), _) => Ok(stopped(context.task)),
            (Some("stopping" | "shutting-down"), checkpoint) => {
                let known = checkpoint.unwrap_or_else(|| self.new_checkpoint(context.task));
                if context.task.started_at < known.deadline_ms {
                    return Err(self.wait(&known, false));
                }
                let message = "Nobody can tell whether the machine will still stop.";
                Err(AttemptError::retry_outcome_unknown("stop_timeout", message))
            }
            (state, Some(_)) => {
                let state = state.unwrap_or("unknown");
                let message = format!("The machine was {state} after its stop.");
                Err(AttemptError::failed(state, message))
            }
            (_, None) => {
                context.ensure_settled(self.poll_interval * 2)?;
                Err(AttemptError::not_done("The machine was not stopped."))
            }
        }
    }
}

impl Ec2StopHandler {
    async fn read_state(
        &self,
        command: &Ec2Stop,
        context: &mut AttemptContext<'_>,
        is_poll: bool,
    ) -> Result<Option<String>, AttemptError> {
        let max_age = if is_poll { self.poll_interval / 2 } else { Duration::ZERO };
        let read = self.watcher.state(&command.instance_id, max_age, context).await;
        read.map_err(|error| context.keep_unknown(error))
    }

    fn unknown_machine(&self, command: &Ec2Stop) -> AttemptError {
        let (account, region) = (self.ec2.account(), self.ec2.region());
        let id = &command.instance_id;
        let message = format!("The account “{account}” has no machine {id} in {region}.");
        AttemptError::failed("InvalidInstanceID.NotFound", message)
    }

    fn new_checkpoint(&self, task: &ClaimedTask) -> StopCheckpoint {
        let max_stop_ms = whole_millis(self.stop_timeout);
        StopCheckpoint {
            attempt: task.attempt,
            deadline_ms: task.started_at.saturating_add(max_stop_ms),
        }
    }

    fn wait(&self, checkpoint: &StopCheckpoint, record_attempt: bool) -> AttemptError {
        AttemptError::Wait {
            outcome: Outcome::new("stopping", "EC2 is stopping the machine."),
            reason: WaitReason::Machine,
            wait: self.poll_interval,
            checkpoint: Some(Box::new(json!(checkpoint))),
            record_attempt,
        }
    }
}

fn parse_checkpoint(task: &ClaimedTask) -> Option<StopCheckpoint> {
    serde_json::from_value(task.checkpoint.clone()?).ok()
}

fn stopped(task: &ClaimedTask) -> Success {
    // This is the task's first look at the machine, so it was not this task that stopped it.
    let was_stopped = task.attempt == 1 && !task.outcome_unknown() && task.checkpoint.is_none();
    let message =
        if was_stopped { "The machine was stopped already." } else { "The machine is stopped." };
    Success::new(Outcome::new("stopped", message))
}
