//! `ec2.launch`: launches a machine from a launch template, waits until it runs, then has its
//! alarm created.

use crate::{
    connector::ec2::{Ec2Client, machine_watcher::MachineWatcher},
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use aws::ec2::MachineLaunch;
use contract::{
    api::{Outcome, WaitReason},
    command::{AlarmCreate, Command, Ec2Launch},
};
use engine::{
    clock::whole_millis,
    store::{AttemptError, ClaimedTask, NewTask, Success},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Handler of `ec2.launch`, for one account and region. It is registered with the upstream of the
/// descriptions.
pub struct Ec2LaunchHandler {
    /// Client of EC2 and CloudWatch.
    pub ec2: Ec2Client,
    /// Watcher of the machines that start.
    pub watcher: Arc<MachineWatcher>,
    /// Upstream of `RunInstances`; it may be that of the descriptions.
    pub launch_upstream: String,
    /// Interval at which a machine that starts is polled.
    pub poll_interval: Duration,
    /// Maximum time that a machine may be starting.
    pub start_timeout: Duration,
}

/// Checkpoint of a machine that was launched.
#[derive(Serialize, Deserialize)]
struct LaunchCheckpoint {
    /// EC2's id of the machine.
    instance_id: String,
    /// Time until which the machine may be starting: UTC ms, by the clock of claims.
    deadline_ms: i64,
}

#[async_trait]
impl Handler<Ec2Launch> for Ec2LaunchHandler {
    const MAY_CAUSE: &'static [&'static str] = &[AlarmCreate::KIND];

    /// Launches the machine unless an earlier attempt knows it. The id of the task is the client
    /// token, so that a launch whose answer was lost is simply repeated: EC2 answers with the
    /// machine that it has launched.
    async fn run(
        &self,
        command: Ec2Launch,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        if let Some(checkpoint) = parse_checkpoint(context.task) {
            return self.poll(command, &checkpoint, context).await;
        }
        context.acquire_rate_permit_of(&self.launch_upstream).await?;
        let client_token = context.task.idempotency_key();
        let launch = MachineLaunch {
            template_id: &command.template_id,
            template_version: command.template_version,
            name: &command.name,
            client_token: &client_token,
        };
        let launched = self.ec2.launch_machine(&launch).await;
        let machine = launched.map_err(|error| context.keep_unknown(error))?;
        Err(self.wait(&self.new_checkpoint(machine.id, context.task), true))
    }

    /// Looks for the machine by its client token, and launches none.
    async fn reconcile(
        &self,
        command: Ec2Launch,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        if let Some(checkpoint) = parse_checkpoint(context.task) {
            return self.poll(command, &checkpoint, context).await;
        }
        context.acquire_rate_permit().await?;
        let found = self.ec2.find_launched_machine(&context.task.idempotency_key()).await;
        match found.map_err(|error| context.keep_unknown(error))? {
            Some(machine) => Err(self.wait(&self.new_checkpoint(machine.id, context.task), false)),
            None => {
                context.ensure_settled(self.poll_interval * 2)?;
                Err(AttemptError::not_done("The machine was not launched."))
            }
        }
    }
}

impl Ec2LaunchHandler {
    async fn poll(
        &self,
        command: Ec2Launch,
        checkpoint: &LaunchCheckpoint,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let id = &checkpoint.instance_id;
        let state = self.watcher.state(id, self.poll_interval / 2, context).await;
        let state = state.map_err(|error| context.keep_unknown(error))?;
        match state.as_deref() {
            Some("running") => running(command, id, context.task),
            // A machine that was launched just now may be unknown yet.
            Some("pending") | None if context.task.started_at < checkpoint.deadline_ms => {
                Err(self.wait(checkpoint, false))
            }
            Some("pending") | None => {
                let seconds = self.start_timeout.as_secs();
                let message = format!("The machine {id} was not running after {seconds} s.");
                Err(AttemptError::failed("start_timeout", message))
            }
            Some(state) => {
                let message = format!("The machine {id} was {state} after its launch.");
                Err(AttemptError::failed(state, message))
            }
        }
    }

    fn new_checkpoint(&self, instance_id: String, task: &ClaimedTask) -> LaunchCheckpoint {
        let max_start_ms = whole_millis(self.start_timeout);
        LaunchCheckpoint { instance_id, deadline_ms: task.started_at.saturating_add(max_start_ms) }
    }

    fn wait(&self, checkpoint: &LaunchCheckpoint, record_attempt: bool) -> AttemptError {
        let message = format!("EC2 is starting the machine {}.", checkpoint.instance_id);
        AttemptError::Wait {
            outcome: Outcome::new("starting", message),
            reason: WaitReason::Machine,
            wait: self.poll_interval,
            checkpoint: Some(Box::new(json!(checkpoint))),
            record_attempt,
        }
    }
}

fn parse_checkpoint(task: &ClaimedTask) -> Option<LaunchCheckpoint> {
    serde_json::from_value(task.checkpoint.clone()?).ok()
}

/// Returns the success of a machine that runs, and has its alarm created next.
fn running(command: Ec2Launch, id: &str, task: &ClaimedTask) -> Result<Success, AttemptError> {
    let Ec2Launch { name, account, region, .. } = command;
    let alarm = AlarmCreate { instance_id: id.to_owned(), name: name.clone(), account, region };
    let follow_up = NewTask::new(&alarm, None, id.to_owned(), name, task.row)
        .map_err(|error| AttemptError::failed("invalid_follow_up", error.to_string()))?;
    let outcome = Outcome::new("running", "The machine is running.").with_reference(id.to_owned());
    Ok(Success::new(outcome).with_follow_up(follow_up))
}
