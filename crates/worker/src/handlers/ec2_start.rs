//! `ec2.start`: starts a machine, waits until it runs, then has its alarm created.

#[cfg(test)]
mod tests;

use crate::{
    connector::ec2::Ec2Client,
    handler::{AttemptContext, Handler, HandlerOutcome, new_outcome},
};
use async_trait::async_trait;
use contract::{
    api::WaitReason,
    command::{AlarmCreate, Ec2Start},
};
use engine::store::{ClaimedTask, NewTask};
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
    async fn run(&self, command: Ec2Start, context: &mut AttemptContext<'_>) -> HandlerOutcome {
        self.check_and_start(&command, context)
            .await
            .unwrap_or_else(|handler_outcome| handler_outcome)
    }
}

impl Ec2StartHandler {
    /// Reads the state of the machine before anything else: someone else may have
    /// started it, or this task may have and the response was lost.
    async fn check_and_start(
        &self,
        command: &Ec2Start,
        context: &mut AttemptContext<'_>,
    ) -> Result<HandlerOutcome, HandlerOutcome> {
        context.acquire_rate_permit().await?;
        let machines = self.ec2.describe_instances(&[&command.instance_id]).await?;
        let state = machines.first().map_or("unknown", |machine| machine.state.as_str());
        match (state, load_checkpoint(context.task)) {
            ("running", _) => running_outcome(command, context.task),
            ("pending", Some(checkpoint)) if context.task.started_at >= checkpoint.deadline_ms => {
                let seconds = (self.poll_interval * MAX_POLLS).as_secs();
                Err(retry_outcome(
                    "start_timeout",
                    format!("The machine was not running after {seconds} s."),
                ))
            }
            ("pending", Some(checkpoint)) => Ok(self.wait_outcome(&checkpoint, false)),
            ("pending", None) => Ok(self.wait_outcome(&self.new_checkpoint(context.task), true)),
            // Someone stopped it, or EC2 gave up. The retry costs an attempt, because
            // this could repeat for ever.
            (_, Some(_)) => {
                Err(retry_outcome(state, format!("The machine was {state} after its start.")))
            }
            ("stopping", None) => {
                Err(retry_outcome(state, "The machine was being stopped.".into()))
            }
            (_, None) => {
                context.acquire_rate_permit().await?;
                self.ec2.start_instance(&command.instance_id).await?;
                Ok(self.wait_outcome(&self.new_checkpoint(context.task), true))
            }
        }
    }

    fn new_checkpoint(&self, task: &ClaimedTask) -> StartCheckpoint {
        let max_start_ms =
            i64::try_from((self.poll_interval * MAX_POLLS).as_millis()).unwrap_or(i64::MAX);
        StartCheckpoint {
            attempt: task.attempt,
            deadline_ms: task.started_at.saturating_add(max_start_ms),
        }
    }

    fn wait_outcome(&self, checkpoint: &StartCheckpoint, record_attempt: bool) -> HandlerOutcome {
        HandlerOutcome::Wait {
            outcome: new_outcome("starting", "EC2 is starting the machine."),
            reason: WaitReason::Machine,
            wait: self.poll_interval,
            checkpoint: json!(checkpoint),
            record_attempt,
        }
    }
}

/// Returns the checkpoint that this attempt saved before.
fn load_checkpoint(task: &ClaimedTask) -> Option<StartCheckpoint> {
    let checkpoint = serde_json::from_value::<StartCheckpoint>(task.checkpoint.clone()?).ok()?;
    (checkpoint.attempt == task.attempt).then_some(checkpoint)
}

fn retry_outcome(code: &str, message: String) -> HandlerOutcome {
    HandlerOutcome::Retry { outcome: new_outcome(code, message), outcome_unknown: false }
}

fn running_outcome(
    command: &Ec2Start,
    task: &ClaimedTask,
) -> Result<HandlerOutcome, HandlerOutcome> {
    let alarm =
        AlarmCreate { instance_id: command.instance_id.clone(), name: command.name.clone() };
    let follow_up =
        NewTask::new(&alarm, None, command.instance_id.clone(), command.name.clone(), task.row)
            .map_err(|error| {
                HandlerOutcome::Failed(new_outcome("invalid_follow_up", error.to_string()))
            })?;
    Ok(HandlerOutcome::Succeeded {
        outcome: new_outcome("running", "The machine is running."),
        follow_ups: vec![follow_up],
    })
}
