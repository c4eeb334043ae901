//! `ec2.start`: starts a machine, waits until it runs, then has its alarm created.

#[cfg(test)]
mod tests;

use crate::{
    connector::ec2::Ec2Client,
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use contract::{
    api::{Outcome, WaitReason},
    command::{AlarmCreate, Ec2Start},
};
use engine::{
    clock::whole_millis,
    store::{AttemptError, ClaimedTask, NewTask, Success},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// Handler of `ec2.start`.
pub struct Ec2StartHandler {
    /// Client of the account.
    pub ec2: Ec2Client,
    /// Interval at which a machine that starts is polled.
    pub poll_interval: Duration,
}

/// Maximum number of polls of a machine that starts, in one attempt: 10 minutes at an
/// interval of 5 s.
const MAX_POLLS: u32 = 120;

/// Checkpoint of a machine that starts.
#[derive(Serialize, Deserialize)]
struct StartCheckpoint {
    /// Attempt that wrote it; another attempt ignores it.
    attempt: u32,
    /// Time until which the machine may be starting: UTC ms, by the clock of claims.
    deadline_ms: i64,
}

#[async_trait]
impl Handler<Ec2Start> for Ec2StartHandler {
    /// Reads the state of the machine before anything else: someone else may have
    /// started it, or this task may have and the response was lost.
    async fn run(
        &self,
        command: Ec2Start,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        context.acquire_rate_permit().await?;
        let machines = self.ec2.describe_instances(&[&command.instance_id]).await?;
        let state = machines.first().map_or("unknown", |machine| machine.state.as_str());
        match (state, load_checkpoint(context.task)) {
            ("running", _) => running(command, context.task),
            ("pending", Some(checkpoint)) if context.task.started_at >= checkpoint.deadline_ms => {
                let seconds = (self.poll_interval * MAX_POLLS).as_secs();
                let message = format!("The machine was not running after {seconds} s.");
                Err(AttemptError::retry("start_timeout", message))
            }
            ("pending", Some(checkpoint)) => Err(self.wait(&checkpoint, false)),
            ("pending", None) => Err(self.wait(&self.new_checkpoint(context.task), true)),
            // Someone stopped it, or EC2 gave up. The retry costs an attempt, because
            // this could repeat for ever.
            (_, Some(_)) => {
                let message = format!("The machine was {state} after its start.");
                Err(AttemptError::retry(state, message))
            }
            ("stopping", None) => Err(AttemptError::retry(state, "The machine was being stopped.")),
            (_, None) => {
                context.acquire_rate_permit().await?;
                self.ec2.start_instance(&command.instance_id).await?;
                Err(self.wait(&self.new_checkpoint(context.task), true))
            }
        }
    }
}

impl Ec2StartHandler {
    fn new_checkpoint(&self, task: &ClaimedTask) -> StartCheckpoint {
        let max_start_ms = whole_millis(self.poll_interval * MAX_POLLS);
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
            checkpoint: Box::new(json!(checkpoint)),
            record_attempt,
        }
    }
}

/// Returns the checkpoint that this attempt saved before.
fn load_checkpoint(task: &ClaimedTask) -> Option<StartCheckpoint> {
    let checkpoint = serde_json::from_value::<StartCheckpoint>(task.checkpoint.clone()?).ok()?;
    (checkpoint.attempt == task.attempt).then_some(checkpoint)
}

/// Returns the success of a machine that runs, and has its alarm created next.
fn running(
    Ec2Start { instance_id, name }: Ec2Start,
    task: &ClaimedTask,
) -> Result<Success, AttemptError> {
    let alarm = AlarmCreate { instance_id: instance_id.clone(), name: name.clone() };
    let follow_up = NewTask::new(&alarm, None, instance_id, name, task.row)
        .map_err(|error| AttemptError::failed("invalid_follow_up", error.to_string()))?;
    let outcome = Outcome::new("running", "The machine is running.");
    Ok(Success::new(outcome).with_follow_up(follow_up))
}
