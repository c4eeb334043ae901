//! `alarm.create`: creates the status alarm of one machine.

use crate::{
    connector::ec2::{Ec2Client, alarm_name},
    handler::{AttemptContext, Handler, HandlerOutcome, new_outcome},
};
use async_trait::async_trait;
use contract::{api::Outcome, command::AlarmCreate};

/// Handler of `alarm.create`.
pub struct AlarmCreateHandler {
    /// Client of the account.
    pub ec2: Ec2Client,
}

#[async_trait]
impl Handler<AlarmCreate> for AlarmCreateHandler {
    async fn run(&self, command: AlarmCreate, context: &mut AttemptContext<'_>) -> HandlerOutcome {
        if let Err(handler_outcome) = context.acquire_rate_permit().await {
            return handler_outcome;
        }
        // Creating an alarm that exists already changes nothing, so an attempt whose
        // outcome is unknown is simply repeated.
        match self.ec2.put_status_alarm(&command.instance_id, &command.name).await {
            Ok(()) => HandlerOutcome::Succeeded {
                outcome: Outcome {
                    reference: Some(alarm_name(&command.instance_id, &command.name)),
                    ..new_outcome("created", "The alarm watches the machine.")
                },
                follow_ups: Vec::new(),
            },
            Err(handler_outcome) => handler_outcome,
        }
    }
}
