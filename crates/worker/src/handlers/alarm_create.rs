//! `alarm.create`: creates the alarm of one machine.

use crate::{
    connector::ec2::{AlarmConfig, Ec2Client},
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use contract::{api::Outcome, command::AlarmCreate};
use engine::store::{AttemptError, Success};
use std::time::Duration;

/// Handler of `alarm.create`.
pub struct AlarmCreateHandler {
    /// Client of EC2 and CloudWatch.
    pub ec2: Ec2Client,
    /// Alarm that each machine gets.
    pub alarm: AlarmConfig,
    /// Time after a request without a response in which it may still have its effect.
    pub settle_time: Duration,
}

#[async_trait]
impl Handler<AlarmCreate> for AlarmCreateHandler {
    async fn run(
        &self,
        AlarmCreate { instance_id, name, .. }: AlarmCreate,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        context.acquire_rate_permit().await?;
        // Creating an alarm that exists already changes nothing, so an attempt whose
        // outcome is unknown is simply repeated.
        let alarm_name = self.alarm.alarm_name(&instance_id, &name);
        match self.ec2.put_alarm(&self.alarm, &alarm_name, &instance_id).await {
            Ok(()) => Ok(created(alarm_name)),
            Err(error) if context.task.outcome_unknown() => Err(error.with_outcome_unknown()),
            Err(error) => Err(error),
        }
    }

    async fn reconcile(
        &self,
        AlarmCreate { instance_id, name, .. }: AlarmCreate,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        context.acquire_rate_permit().await?;
        let alarm_name = self.alarm.alarm_name(&instance_id, &name);
        let found = self.ec2.has_alarm(&alarm_name).await;
        if found.map_err(|error| context.keep_unknown(error))? {
            return Ok(created(alarm_name));
        }
        context.ensure_settled(self.settle_time)?;
        Err(AttemptError::not_done("The alarm was not created."))
    }
}

fn created(alarm_name: String) -> Success {
    let outcome =
        Outcome::new("created", "The alarm watches the machine.").with_reference(alarm_name);
    Success::new(outcome)
}
