//! `alarm.create`: creates the status alarm of one machine.

use crate::{
    connector::ec2::{Ec2Client, alarm_name},
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use contract::{api::Outcome, command::AlarmCreate};
use engine::store::{AttemptError, Success};

/// Handler of `alarm.create`.
pub struct AlarmCreateHandler {
    /// Client of the account.
    pub ec2: Ec2Client,
}

#[async_trait]
impl Handler<AlarmCreate> for AlarmCreateHandler {
    async fn run(
        &self,
        AlarmCreate { instance_id, name }: AlarmCreate,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        context.acquire_rate_permit().await?;
        // Creating an alarm that exists already changes nothing, so an attempt whose
        // outcome is unknown is simply repeated.
        self.ec2.put_status_alarm(&instance_id, &name).await?;
        let outcome = Outcome::new("created", "The alarm watches the machine.")
            .with_reference(alarm_name(&instance_id, &name));
        Ok(Success::new(outcome))
    }
}
