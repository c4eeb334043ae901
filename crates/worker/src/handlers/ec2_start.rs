//! `ec2.start`: start a machine, see it running, then have its alarm made.

use crate::{
    connector::ec2::Ec2,
    handler::{Answer, Call, Handler, outcome},
};
use async_trait::async_trait;
use contract::{
    api::WaitReason,
    command::{AlarmCreate, Ec2Start},
};
use engine::store::NewTask;
use serde_json::json;
use std::time::Duration;

pub struct Start {
    pub ec2: Ec2,
    /// Between two looks at a machine that starts.
    pub poll: Duration,
}

#[async_trait]
impl Handler<Ec2Start> for Start {
    async fn run(&self, command: Ec2Start, call: &mut Call<'_>) -> Answer {
        let asked = call.task.memo.is_some();
        let result =
            if asked { self.look(&command, call).await } else { self.ask(&command, call).await };
        result.unwrap_or_else(|answer| answer)
    }
}

impl Start {
    async fn ask(&self, command: &Ec2Start, call: &mut Call<'_>) -> Result<Answer, Answer> {
        call.slot().await?;
        self.ec2.start(&command.instance_id).await?;
        Ok(self.wait("EC2 starts the machine.", false))
    }

    async fn look(&self, command: &Ec2Start, call: &mut Call<'_>) -> Result<Answer, Answer> {
        call.slot().await?;
        let machines = self.ec2.describe(&[&command.instance_id]).await?;
        let state = machines.first().map_or("unknown", |machine| machine.state.as_str());
        match state {
            "running" => self.running(command, call),
            "pending" => Ok(self.wait("EC2 starts the machine.", true)),
            // Someone stopped it, or EC2 gave up.
            _ => {
                call.slot().await?;
                self.ec2.start(&command.instance_id).await?;
                Ok(self.wait(&format!("The machine was {state}; it is started again."), false))
            }
        }
    }

    fn running(&self, command: &Ec2Start, call: &Call<'_>) -> Result<Answer, Answer> {
        let alarm =
            AlarmCreate { instance_id: command.instance_id.clone(), name: command.name.clone() };
        let follow_up = NewTask::new(
            &alarm,
            None,
            command.instance_id.clone(),
            command.name.clone(),
            call.task.row,
        )
        .map_err(|error| Answer::Failed(outcome("unwritable", error.to_string())))?;
        Ok(Answer::Done {
            outcome: outcome("running", "The machine is running."),
            follow_ups: vec![follow_up],
        })
    }

    fn wait(&self, message: &str, quiet: bool) -> Answer {
        Answer::Wait {
            outcome: outcome("starting", message),
            reason: WaitReason::Machine,
            wait: self.poll,
            memo: json!({ "asked": true }),
            quiet,
        }
    }
}
