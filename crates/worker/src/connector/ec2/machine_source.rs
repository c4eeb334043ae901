//! The machines of an EC2 account, read within the rate limit that starts share.

use super::Ec2Client;
use async_trait::async_trait;
use contract::api::Instance;
use engine::{
    limiter::{AcquireError, Limiters, Permit},
    machines::{Error, MachineSource, READ_TIMEOUT},
    store::AttemptError,
};
use tokio::time::Instant;

/// EC2 account as a source of machines, with its rate limiter.
pub struct Ec2MachineSource {
    /// Client of the account.
    pub ec2: Ec2Client,
    /// Rate limiters that hold the upstream.
    pub limiters: Limiters,
    /// Name of the upstream in `limiters`.
    pub upstream: String,
}

impl Ec2MachineSource {
    async fn acquire_rate_permit(&self) -> Result<Permit, AcquireError> {
        let mut permit = self.limiters.acquire(&self.upstream).await?;
        permit.confirm(Instant::now() + READ_TIMEOUT).await?;
        Ok(permit)
    }
}

#[async_trait]
impl MachineSource for Ec2MachineSource {
    async fn describe_machines(&self) -> Result<Vec<Instance>, Error> {
        // Keeps the concurrency slot until the response has arrived.
        let _permit = self.acquire_rate_permit().await.map_err(|error| match error {
            AcquireError::RetryAfter { .. } => Error::Busy,
            AcquireError::Limiter(error) => {
                tracing::warn!(%error, "could not read the machines without the rate limiter");
                Error::LimiterUnavailable
            }
        })?;
        match self.ec2.describe_instances(&[]).await {
            Ok(machines) => Ok(machines),
            Err(AttemptError::Cooldown { reason, wait, .. }) => {
                self.limiters.start_cooldown(&self.upstream, wait, reason).await;
                Err(Error::Busy)
            }
            Err(AttemptError::Failed(outcome)) => Err(Error::Rejected(outcome.message)),
            Err(error) => {
                tracing::warn!(%error, "could not describe the machines");
                Err(Error::Unreachable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use engine::limiter::{UpstreamLimits, embedded::EmbeddedLimiter};
    use std::{sync::Arc, time::Duration};

    #[tokio::test]
    async fn an_unreachable_service_is_reported_as_unreachable() {
        // Nobody listens on this port, which was free a moment ago.
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ec2", probe.local_addr().unwrap());
        drop(probe);
        let http_client = crate::connector::build_client(Duration::from_secs(1)).unwrap();
        let ec2 = Ec2Client { ec2_url: url.clone(), cloudwatch_url: url, http_client };
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream("ec2", UpstreamLimits { rate: 100.0, concurrency: 1 });
        let source = Ec2MachineSource { ec2, limiters, upstream: "ec2".into() };
        let error = source.describe_machines().await.unwrap_err();
        assert_eq!(error.to_string(), "EC2 can't be reached. Try again.");
    }
}
