//! The machines of an account and region, read within the rate limit of their descriptions.

use super::{AlarmConfig, Ec2Client};
use async_trait::async_trait;
use aws::ec2::Machine;
use contract::{
    api::{CooldownReason, Instance, LaunchTemplate},
    text::{MACHINE_ID, MACHINE_NAME, MACHINE_PROPERTY},
};
use engine::{
    limiter::{AcquireError, Limiters, UpstreamPermit},
    machines::{Error, MachineLocation, MachineSource, READ_TIMEOUT},
    store::AttemptError,
};
use tokio::time::Instant;

/// Number of machines or templates after which no further page is read: more are not shown.
const MAX_LISTED: usize = 20_000;

/// Machines of one account and region, with the rate limiter of their descriptions.
pub struct Ec2MachineSource {
    /// Client of EC2 and CloudWatch.
    pub ec2: Ec2Client,
    /// Account and region as commands name them.
    pub location: MachineLocation,
    /// Rate limiters that hold the upstream.
    pub limiters: Limiters,
    /// Name of the upstream in `limiters`.
    pub upstream: String,
    /// What alarm each machine gets once it runs, for people.
    pub alarm: String,
}

impl Ec2MachineSource {
    /// Creates the source of the machines that `ec2` describes.
    pub fn new(
        ec2: Ec2Client,
        location: MachineLocation,
        limiters: Limiters,
        upstream: String,
        alarm: &AlarmConfig,
    ) -> Self {
        Self { ec2, location, limiters, upstream, alarm: alarm.to_string() }
    }

    async fn acquire_rate_permit(&self) -> Result<UpstreamPermit, AcquireError> {
        let mut permit = self.limiters.acquire(&self.upstream).await?;
        permit.confirm(Instant::now() + READ_TIMEOUT).await?;
        Ok(permit)
    }

    async fn permit_error(&self, error: AcquireError) -> Error {
        match error {
            AcquireError::RetryAfter { in_cooldown, .. } => {
                let reason = match in_cooldown {
                    true => self.limiters.cooldown_reason(&self.upstream).await,
                    false => None,
                };
                match reason {
                    Some(CooldownReason::CredentialsRefused) => self.credentials_error(),
                    _ => Error::Busy,
                }
            }
            AcquireError::Paused { pause, .. } => Error::Paused(pause.sentence()),
            AcquireError::Limiter(error) => {
                tracing::warn!(%error, "could not read the machines without the rate limiter");
                Error::LimiterUnavailable
            }
        }
    }

    /// Returns the error of an account whose credentials are not accepted. If another process has
    /// found out, only its items have the words.
    fn credentials_error(&self) -> Error {
        let words = self.ec2.credentials_fault().unwrap_or_else(|| {
            let account = self.ec2.account();
            format!(
                "AWS does not accept the credentials of the account “{account}”. The items that \
                 wait say what to do."
            )
        });
        Error::Rejected(words)
    }

    async fn call_error(&self, error: AttemptError) -> Error {
        match error {
            AttemptError::Cooldown { reason, wait, outcome, .. } => {
                self.limiters.start_cooldown(&self.upstream, wait, reason).await;
                if reason != CooldownReason::CredentialsRefused {
                    return Error::Busy;
                }
                Error::Rejected(outcome.message)
            }
            AttemptError::Failed(outcome) => Error::Rejected(outcome.message),
            // Only these codes are of a call that has no answer.
            AttemptError::Retry { outcome, .. }
                if !["timeout", "connection_dropped", "unreachable", "tls"]
                    .contains(&outcome.code.as_str()) =>
            {
                tracing::warn!(code = %outcome.code, "EC2 could not describe the machines");
                Error::Failing
            }
            error => {
                tracing::warn!(%error, "could not describe the machines");
                Error::Unreachable
            }
        }
    }
}

#[async_trait]
impl MachineSource for Ec2MachineSource {
    fn location(&self) -> &MachineLocation {
        &self.location
    }

    fn alarm(&self) -> &str {
        &self.alarm
    }

    async fn describe_machines(&self) -> Result<Vec<Instance>, Error> {
        let mut machines = Vec::new();
        let mut pages = Pages::begin(self).await?;
        loop {
            let read = self.ec2.describe_page(&[], pages.next_token.as_deref()).await;
            let page = pages.check(read).await?;
            machines.extend(page.machines.iter().map(|it| instance(it, &self.location)));
            if !pages.advance(page.next_token, machines.len()).await? {
                return Ok(machines);
            }
        }
    }

    async fn describe_launch_templates(&self) -> Result<Vec<LaunchTemplate>, Error> {
        // The sandbox has none, and does not know the action.
        if self.location == MachineLocation::default() {
            return Ok(Vec::new());
        }
        let mut templates = Vec::new();
        let mut pages = Pages::begin(self).await?;
        loop {
            let read = self.ec2.describe_templates_page(pages.next_token.as_deref()).await;
            let page = pages.check(read).await?;
            templates.extend(page.templates.iter().map(|it| launch_template(it, &self.location)));
            if !pages.advance(page.next_token, templates.len()).await? {
                return Ok(templates);
            }
        }
    }
}

/// Reads pages, each with a rate permit, under one concurrency slot.
struct Pages<'a> {
    source: &'a Ec2MachineSource,
    permit: UpstreamPermit,
    next_token: Option<String>,
}

impl<'a> Pages<'a> {
    async fn begin(source: &'a Ec2MachineSource) -> Result<Self, Error> {
        match source.acquire_rate_permit().await {
            Ok(permit) => Ok(Self { source, permit, next_token: None }),
            Err(error) => Err(source.permit_error(error).await),
        }
    }

    async fn check<T>(&self, read: Result<T, AttemptError>) -> Result<T, Error> {
        match read {
            Ok(page) => Ok(page),
            Err(error) => Err(self.source.call_error(error).await),
        }
    }

    /// Prepares the next page; returns whether there is one to read.
    async fn advance(&mut self, next_token: Option<String>, count: usize) -> Result<bool, Error> {
        self.next_token = next_token;
        if self.next_token.is_none() || count > MAX_LISTED {
            return Ok(false);
        }
        match self.permit.acquire_next(Instant::now() + READ_TIMEOUT).await {
            Ok(()) => Ok(true),
            Err(error) => Err(self.source.permit_error(error).await),
        }
    }
}

fn launch_template(
    template: &aws::ec2::LaunchTemplate,
    location: &MachineLocation,
) -> LaunchTemplate {
    LaunchTemplate {
        id: MACHINE_ID.clean(&template.id),
        name: MACHINE_NAME.clean(&template.name),
        default_version: template.default_version,
        latest_version: template.latest_version,
        account: location.account.clone(),
        region: location.region.clone(),
    }
}

fn instance(machine: &Machine, location: &MachineLocation) -> Instance {
    Instance {
        id: MACHINE_ID.clean(&machine.id),
        name: MACHINE_NAME.clean(&machine.name),
        state: MACHINE_PROPERTY.clean(&machine.state),
        instance_type: MACHINE_PROPERTY.clean(&machine.instance_type),
        zone: MACHINE_PROPERTY.clean(&machine.zone),
        account: location.account.clone(),
        region: location.region.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws::{account::ClientOptions, credentials::FixedCredentials};
    use engine::limiter::{UpstreamLimits, embedded::EmbeddedLimiter};
    use std::{sync::Arc, time::Duration};

    #[tokio::test]
    async fn an_unreachable_service_is_reported_as_unreachable() {
        // Nobody listens on this port, which was free a moment ago.
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ec2", probe.local_addr().unwrap());
        drop(probe);
        let http_client = crate::connector::build_client(Duration::from_secs(1)).unwrap();
        let options = ClientOptions {
            account: "ops".into(),
            region: "eu-west-1".into(),
            ec2_url: url.clone(),
            cloudwatch_url: url,
            http_client,
        };
        let client = aws::Client::new(options, FixedCredentials::new("key", "secret")).unwrap();
        let ec2 = Ec2Client::new(client);
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream("ec2", UpstreamLimits { rate: 100.0, concurrency: 1 });
        let location = MachineLocation::default();
        let alarm = AlarmConfig::default();
        let source = Ec2MachineSource::new(ec2, location, limiters, "ec2".into(), &alarm);
        let error = source.describe_machines().await.unwrap_err();
        assert_eq!(error.to_string(), "EC2 can't be reached. Try again.");
    }
}
