//! How operators check that an upstream can be used.

use app::labels;
use async_trait::async_trait;
use engine::{machines::MachineSource, store::AttemptError, upstream::UpstreamProbe};
use std::sync::Arc;
use worker::connector::channel::ChannelHandle;

/// Sends the request of a channel's `[check]`.
pub struct ChannelProbe(pub Arc<ChannelHandle>);

#[async_trait]
impl UpstreamProbe for ChannelProbe {
    async fn check(&self) -> Result<String, String> {
        let client = self.0.current();
        match client.check().await {
            Ok(Some(says)) => Ok(says),
            Ok(None) => Err(format!(
                "The file {}.toml has no [check], so nothing was sent.",
                client.channel.id
            )),
            Err(error) => Err(reason(error)),
        }
    }
}

/// Returns the words of an error for people.
fn reason(error: AttemptError) -> String {
    match error {
        AttemptError::Failed(outcome)
        | AttemptError::Rejected(outcome)
        | AttemptError::NotDone(outcome)
        | AttemptError::NeedsReview(outcome)
        | AttemptError::Retry { outcome, .. }
        | AttemptError::Cooldown { outcome, .. }
        | AttemptError::Wait { outcome, .. } => outcome.message,
        AttemptError::NoRatePermit { .. } => error.to_string(),
    }
}

/// Lists the machines, within the account's rate limit.
pub struct MachineProbe(pub Arc<dyn MachineSource>);

#[async_trait]
impl UpstreamProbe for MachineProbe {
    async fn check(&self) -> Result<String, String> {
        let machines = self.0.describe_machines().await.map_err(|error| error.to_string())?;
        Ok(labels::count_noun(machines.len().try_into().unwrap_or(u64::MAX), "machine"))
    }
}
