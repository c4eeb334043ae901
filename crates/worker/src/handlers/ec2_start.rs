//! `ec2.start`: start a machine, see it running, then have its alarm made.

#[cfg(test)]
mod tests;

use crate::{
    connector::ec2::Ec2,
    handler::{Answer, Call, Handler, outcome},
};
use async_trait::async_trait;
use contract::{
    api::WaitReason,
    command::{AlarmCreate, Ec2Start},
};
use engine::store::{Claimed, NewTask};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

pub struct Start {
    pub ec2: Ec2,
    /// Between two looks at a machine that starts.
    pub poll: Duration,
}

/// A machine may be starting for so many looks in one attempt: 10 minutes
/// where it is looked at every 5 s.
const LOOKS: u32 = 120;

/// What is noted about a machine that starts.
#[derive(Serialize, Deserialize)]
struct Starting {
    /// Another attempt begins anew.
    attempt: u32,
    /// UTC ms, by the clock that claims are made by.
    until: i64,
}

#[async_trait]
impl Handler<Ec2Start> for Start {
    async fn run(&self, command: Ec2Start, call: &mut Call<'_>) -> Answer {
        self.look(&command, call).await.unwrap_or_else(|answer| answer)
    }
}

impl Start {
    /// EC2 is asked before anything is done: someone else may have started
    /// the machine, or this task may have, and the answer was lost.
    async fn look(&self, command: &Ec2Start, call: &mut Call<'_>) -> Result<Answer, Answer> {
        call.slot().await?;
        let machines = self.ec2.describe(&[&command.instance_id]).await?;
        let state = machines.first().map_or("unknown", |machine| machine.state.as_str());
        match (state, starting(call.task)) {
            ("running", _) => running(command, call.task),
            ("pending", Some(starting)) if call.task.started_at >= starting.until => {
                let seconds = (self.poll * LOOKS).as_secs();
                Err(again("slow", format!("The machine was not running after {seconds} s.")))
            }
            ("pending", Some(starting)) => Ok(self.wait(&starting, true)),
            ("pending", None) => Ok(self.wait(&self.begin(call.task), false)),
            // Someone stopped it, or EC2 gave up. Started again for nothing,
            // it could go on so for ever.
            (_, Some(_)) => Err(again(state, format!("The machine was {state} after its start."))),
            ("stopping", None) => Err(again(state, "The machine was being stopped.".into())),
            (_, None) => {
                call.slot().await?;
                self.ec2.start(&command.instance_id).await?;
                Ok(self.wait(&self.begin(call.task), false))
            }
        }
    }

    fn begin(&self, task: &Claimed) -> Starting {
        let patience = i64::try_from((self.poll * LOOKS).as_millis()).unwrap_or(i64::MAX);
        Starting { attempt: task.attempt, until: task.started_at.saturating_add(patience) }
    }

    fn wait(&self, starting: &Starting, quiet: bool) -> Answer {
        Answer::Wait {
            outcome: outcome("starting", "EC2 starts the machine."),
            reason: WaitReason::Machine,
            wait: self.poll,
            memo: json!(starting),
            quiet,
        }
    }
}

/// What this attempt noted before.
fn starting(task: &Claimed) -> Option<Starting> {
    let noted = serde_json::from_value::<Starting>(task.memo.clone()?).ok()?;
    (noted.attempt == task.attempt).then_some(noted)
}

fn again(code: &str, message: String) -> Answer {
    Answer::Retry { outcome: outcome(code, message), unsure: false }
}

fn running(command: &Ec2Start, task: &Claimed) -> Result<Answer, Answer> {
    let alarm =
        AlarmCreate { instance_id: command.instance_id.clone(), name: command.name.clone() };
    let follow_up =
        NewTask::new(&alarm, None, command.instance_id.clone(), command.name.clone(), task.row)
            .map_err(|error| Answer::Failed(outcome("unwritable", error.to_string())))?;
    Ok(Answer::Done {
        outcome: outcome("running", "The machine is running."),
        follow_ups: vec![follow_up],
    })
}
