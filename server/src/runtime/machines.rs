//! Accounts with machines: those of AWS that are configured, or the sandbox's.

use super::probes::MachineProbe;
use crate::config::{AwsAccount, AwsConfig};
use anyhow::Context;
use aws::{Account, account::ClientOptions, credentials::FixedCredentials};
use contract::command::{
    AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, machine_queue_suffix, queue_name,
};
use engine::{
    limiter::{Limiters, UpstreamLimits},
    machines::{MachineLocation, MachineSource, READ_TIMEOUT},
};
use std::{sync::Arc, time::Duration};
use worker::{
    Registry,
    connector::{
        self,
        ec2::{
            AlarmConfig, Ec2Client, machine_source::Ec2MachineSource,
            machine_watcher::MachineWatcher,
        },
    },
    handlers::{
        alarm_create::AlarmCreateHandler, ec2_launch::Ec2LaunchHandler, ec2_start::Ec2StartHandler,
        ec2_stop::Ec2StopHandler,
    },
};

/// Name and region of the sandbox's account, for people.
const SANDBOX_ACCOUNT: (&str, &str) = ("sandbox", "eu-central-1");
/// Interval at which a machine of the sandbox that starts is polled, at speed 1.
pub const SANDBOX_POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum time that a machine may be starting, at speed 1.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// The machines of one account in one region, with the limits of its calls.
pub struct MachineRegion {
    location: MachineLocation,
    client: aws::Client,
    alarm: AlarmConfig,
    poll_interval: Duration,
    start_timeout: Duration,
    describe: Upstream,
    start: Upstream,
    stop: Upstream,
    launch: Upstream,
    cloudwatch: Upstream,
}

/// A rate limiter of calls.
#[derive(Clone)]
struct Upstream {
    id: String,
    limits: UpstreamLimits,
}

impl Upstream {
    fn new(id: impl Into<String>, rate: f64, concurrency: u16) -> Self {
        Self { id: id.into(), limits: UpstreamLimits { rate, concurrency } }
    }
}

/// Returns the machines of the configured accounts, each in each of its regions.
///
/// # Errors
/// The settings of an account can't be used.
pub async fn aws_regions(
    config: &AwsConfig,
    lease: Duration,
) -> anyhow::Result<Vec<MachineRegion>> {
    let http_client = connector::build_client(worker::request_timeout(lease))?;
    let mut regions = Vec::new();
    for account in &config.accounts {
        let loaded = Box::pin(Account::load(account.options.clone(), http_client.clone()))
            .await
            .context("MEANWHILE_AWS names an account that can't be used")?;
        for client in loaded.clients() {
            regions.push(MachineRegion::of_aws(client.clone(), account));
        }
    }
    Ok(regions)
}

/// Returns the machines of the sandbox with the URL `base_url`.
///
/// # Errors
/// The HTTP client can't be built.
pub fn sandbox_region(
    base_url: &str,
    speed: f64,
    lease: Duration,
) -> anyhow::Result<MachineRegion> {
    let (account, region) = SANDBOX_ACCOUNT;
    let options = ClientOptions {
        account: account.into(),
        region: region.into(),
        ec2_url: format!("{base_url}/ec2"),
        cloudwatch_url: format!("{base_url}/cloudwatch"),
        http_client: connector::build_client(worker::request_timeout(lease))?,
    };
    // The sandbox has one limit for all actions of EC2.
    let ec2 = Upstream::new("ec2", sandbox::EC2_RATE.per_second * speed, 8);
    Ok(MachineRegion {
        location: MachineLocation::default(),
        client: aws::Client::new(options, FixedCredentials::new("sandbox", "sandbox"))?,
        alarm: AlarmConfig::default(),
        poll_interval: SANDBOX_POLL_INTERVAL.div_f64(speed),
        start_timeout: START_TIMEOUT.div_f64(speed),
        describe: ec2.clone(),
        start: ec2.clone(),
        stop: ec2.clone(),
        launch: ec2,
        cloudwatch: Upstream::new("cloudwatch", sandbox::CLOUDWATCH_RATE.per_second * speed, 8),
    })
}

impl MachineRegion {
    fn of_aws(client: aws::Client, config: &AwsAccount) -> Self {
        let rates = config.rates;
        let (account, region) = (client.account().to_owned(), client.region().to_owned());
        let id = |action: &str| format!("aws/{account}/{region}/{action}");
        Self {
            // A call may take a second. An attempt keeps its slot of the descriptions while it
            // waits for its turn to start.
            describe: Upstream::new(id("ec2.describe"), rates.describe, 32),
            start: Upstream::new(id("ec2.start"), rates.start, 8),
            stop: Upstream::new(id("ec2.stop"), rates.stop, 8),
            launch: Upstream::new(id("ec2.launch"), rates.launch, 8),
            cloudwatch: Upstream::new(id("cloudwatch"), rates.cloudwatch, 8),
            location: MachineLocation { account, region },
            client,
            alarm: config.alarm.clone(),
            poll_interval: config.poll_interval,
            start_timeout: START_TIMEOUT,
        }
    }

    /// Returns the source of the machines, whose reads share the limit of the descriptions.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn source(&self, limiters: &Limiters) -> anyhow::Result<Arc<dyn MachineSource>> {
        let client = self.client.with_http_client(connector::build_client(READ_TIMEOUT)?);
        Ok(Arc::new(Ec2MachineSource::new(
            Ec2Client::new(client),
            self.location.clone(),
            limiters.clone(),
            self.describe.id.clone(),
            &self.alarm,
        )))
    }

    /// Returns the machines as operators see them: one upstream with several limits.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn description(&self, limiters: &Limiters) -> anyhow::Result<engine::upstream::Upstream> {
        let MachineLocation { account, region } = &self.location;
        let suffix = machine_queue_suffix(account, region);
        let suffix = suffix.as_deref();
        let mut limits = Vec::new();
        for limit in [&self.describe, &self.start, &self.stop, &self.launch, &self.cloudwatch] {
            if !limits.contains(&limit.id) {
                limits.push(limit.id.clone());
            }
        }
        let (id, name) = match suffix {
            Some(suffix) => (format!("aws.{suffix}"), format!("Machines of {account} in {region}")),
            None => ("machines".to_owned(), "Machines".to_owned()),
        };
        Ok(engine::upstream::Upstream {
            id,
            name,
            limits,
            queues: vec![
                queue_name(Ec2Start::KIND, suffix, Ec2Start::VERSION),
                queue_name(Ec2Stop::KIND, suffix, Ec2Stop::VERSION),
                queue_name(Ec2Launch::KIND, suffix, Ec2Launch::VERSION),
                queue_name(AlarmCreate::KIND, suffix, AlarmCreate::VERSION),
            ],
            probe: Arc::new(MachineProbe(self.source(limiters)?)),
            check_lock: Arc::default(),
        })
    }

    /// Registers the handlers of the commands about the machines.
    #[must_use]
    pub fn register(&self, registry: Registry) -> Registry {
        let MachineLocation { account, region } = &self.location;
        let suffix = machine_queue_suffix(account, region);
        let suffix = suffix.as_deref();
        let ec2 = Ec2Client::new(self.client.clone());
        let watcher = Arc::new(MachineWatcher::new(ec2.clone(), self.poll_interval));
        let start = Ec2StartHandler {
            ec2: ec2.clone(),
            watcher: Arc::clone(&watcher),
            start_upstream: self.start.id.clone(),
            poll_interval: self.poll_interval,
            start_timeout: self.start_timeout,
        };
        let stop = Ec2StopHandler {
            ec2: ec2.clone(),
            watcher: Arc::clone(&watcher),
            stop_upstream: self.stop.id.clone(),
            poll_interval: self.poll_interval,
            stop_timeout: self.start_timeout,
        };
        let launch = Ec2LaunchHandler {
            ec2: ec2.clone(),
            watcher,
            launch_upstream: self.launch.id.clone(),
            poll_interval: self.poll_interval,
            start_timeout: self.start_timeout,
        };
        let alarm = AlarmCreateHandler {
            ec2,
            alarm: self.alarm.clone(),
            settle_time: self.poll_interval * 2,
        };
        let Upstream { id: describe, limits } = &self.describe;
        let Upstream { id: cloudwatch, limits: cloudwatch_limits } = &self.cloudwatch;
        let registry = [&self.start, &self.stop, &self.launch]
            .into_iter()
            .fold(registry, |registry, it| registry.register_upstream(&it.id, it.limits.clone()));
        registry
            .register::<Ec2Start>(suffix, describe, limits.clone(), start)
            .register::<Ec2Stop>(suffix, describe, limits.clone(), stop)
            .register::<Ec2Launch>(suffix, describe, limits.clone(), launch)
            .register::<AlarmCreate>(suffix, cloudwatch, cloudwatch_limits.clone(), alarm)
    }
}
