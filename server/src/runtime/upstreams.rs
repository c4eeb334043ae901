//! Channels and machines, and the commands that call them.

use super::channels;
use crate::config::Config;
use contract::command::{AlarmCreate, Ec2Start, ProductUpload};
use engine::{
    channel::ChannelConfig,
    limiter::{Limiters, UpstreamLimits},
    machines::{MachineSource, READ_TIMEOUT},
};
use sandbox::Sandbox;
use std::{sync::Arc, time::Duration};
use worker::{
    Registry,
    connector::{
        self,
        channel::ChannelClient,
        ec2::{Ec2Client, machine_source::Ec2MachineSource},
    },
    handlers::{alarm_create, ec2_start, product_upload},
};

/// Upstream id of EC2.
const EC2_UPSTREAM: &str = "ec2";

/// External services: a sandbox in this process, or one that several processes
/// share.
pub struct Upstreams {
    url: String,
    speed: f64,
    channels: Vec<ChannelConfig>,
    own_sandbox: Option<Sandbox>,
}

impl Upstreams {
    fn at_sandbox(url: String, speed: f64, own_sandbox: Option<Sandbox>) -> Self {
        let channels = channels::sandbox_channels(&url, speed);
        Self { url, speed, channels, own_sandbox }
    }

    /// Uses the sandbox that `config` names, or starts one.
    ///
    /// # Errors
    /// The sandbox can't be started.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let speed = config.sandbox.sandbox_speed;
        match &config.sandbox.sandbox_url {
            Some(url) => Ok(Self::at_sandbox(url.expose_secret().into(), speed, None)),
            None => Self::start(config).await,
        }
    }

    /// Starts a sandbox in this process.
    ///
    /// # Errors
    /// The sandbox can't be started.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let options = &config.sandbox;
        let speed = options.sandbox_speed;
        let own_sandbox = Sandbox::start(sandbox::Options {
            listen: options.sandbox_listen,
            ledger: config.data.join("sandbox.jsonl"),
            speed,
            seed: options.sandbox_seed,
            faults: options.sandbox_faults,
            latency: options.sandbox_latency,
            channels: channels::simulated_channels(),
        })
        .await?;
        tracing::info!(url = own_sandbox.base_url(), "the sandbox simulates the external services");
        Ok(Self::at_sandbox(own_sandbox.base_url(), speed, Some(own_sandbox)))
    }

    /// Stops the sandbox if this process started it.
    pub async fn close(self) {
        if let Some(sandbox) = self.own_sandbox {
            sandbox.stop().await;
        }
    }

    /// Returns the configuration of the channels.
    pub fn channels(&self) -> &[ChannelConfig] {
        &self.channels
    }

    fn ec2(&self, client: reqwest::Client) -> Ec2Client {
        Ec2Client {
            ec2_url: format!("{}/ec2", self.url),
            cloudwatch_url: format!("{}/cloudwatch", self.url),
            http_client: client,
        }
    }

    /// Returns the source of the EC2 account's machines. Reads share the rate
    /// limit of the starts.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn machines(&self, limiters: &Limiters) -> anyhow::Result<Arc<dyn MachineSource>> {
        let ec2 = self.ec2(connector::build_client(READ_TIMEOUT)?);
        Ok(Arc::new(Ec2MachineSource {
            ec2,
            limiters: limiters.clone(),
            upstream: EC2_UPSTREAM.into(),
        }))
    }

    /// Returns the handlers of all commands that call an upstream, for leases of
    /// length `lease`.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn registry(&self, lease: Duration) -> anyhow::Result<Registry> {
        let client = connector::build_client(worker::request_timeout(lease))?;
        let mut registry = Registry::default();
        for config in &self.channels {
            let channel = ChannelClient::new(config, client.clone());
            registry = registry.register::<ProductUpload>(
                Some(&config.id),
                &config.id,
                config.limits.clone(),
                product_upload::ProductUploadHandler { channel },
            );
        }
        let ec2 = self.ec2(client);
        let poll = Duration::from_secs_f64(5.0 / self.speed);
        let limits = |rate: f64| UpstreamLimits { rate: rate * self.speed, concurrency: 8 };
        let (ec2_rate, alarm_rate) = (sandbox::EC2_RATE, sandbox::CLOUDWATCH_RATE);
        Ok(registry
            .register::<Ec2Start>(
                None,
                EC2_UPSTREAM,
                limits(ec2_rate.per_second),
                ec2_start::Ec2StartHandler { ec2: ec2.clone(), poll_interval: poll },
            )
            .register::<AlarmCreate>(
                None,
                "cloudwatch",
                limits(alarm_rate.per_second),
                alarm_create::AlarmCreateHandler { ec2 },
            ))
    }
}
