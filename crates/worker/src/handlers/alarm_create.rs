//! `alarm.create`: the status alarm of one machine.

use crate::{
    connector::ec2::{Ec2, alarm_name},
    handler::{Answer, Call, Handler, outcome},
};
use async_trait::async_trait;
use contract::{api::Outcome, command::AlarmCreate};

pub struct Create {
    pub ec2: Ec2,
}

#[async_trait]
impl Handler<AlarmCreate> for Create {
    async fn run(&self, command: AlarmCreate, call: &mut Call<'_>) -> Answer {
        if let Err(answer) = call.slot().await {
            return answer;
        }
        // Putting an alarm that is there already changes nothing, so an
        // unsure attempt is simply made again.
        match self.ec2.put_alarm(&command.instance_id, &command.name).await {
            Ok(()) => Answer::Done {
                outcome: Outcome {
                    reference: Some(alarm_name(&command.instance_id, &command.name)),
                    ..outcome("created", "The alarm watches the machine.")
                },
                follow_ups: Vec::new(),
            },
            Err(answer) => answer,
        }
    }
}
