//! Channels and machines, and the commands that call them.

use crate::config::Config;
use contract::command::{AlarmCreate, Ec2Start, ProductUpload};
use engine::{
    engine::ChannelConfig,
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
    own_sandbox: Option<Sandbox>,
}

impl Upstreams {
    /// Uses the sandbox that `config` names, or starts one.
    ///
    /// # Errors
    /// The sandbox can't be started.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let speed = config.sandbox.sandbox_speed;
        match &config.sandbox.sandbox_url {
            Some(url) => Ok(Self { url: url.expose_secret().into(), speed, own_sandbox: None }),
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
        })
        .await?;
        tracing::info!(url = own_sandbox.base_url(), "the sandbox simulates the external services");
        Ok(Self { url: own_sandbox.base_url(), speed, own_sandbox: Some(own_sandbox) })
    }

    /// Stops the sandbox if this process started it.
    pub async fn close(self) {
        if let Some(sandbox) = self.own_sandbox {
            sandbox.stop().await;
        }
    }

    /// Returns the channels with their limits, scaled by the sandbox's speed.
    #[allow(clippy::cast_possible_truncation)]
    pub fn channels(&self) -> Vec<ChannelConfig> {
        let config = |profile: &sandbox::ChannelProfile| ChannelConfig {
            id: profile.id.into(),
            name: profile.name.into(),
            rate: profile.rate.per_second * self.speed,
            concurrency: max_concurrency(profile),
            latency_ms: (profile.latency.as_secs_f64() / self.speed * 1000.0) as i64,
            is_sandbox: true,
        };
        sandbox::channels().iter().map(config).collect()
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
        for spec in sandbox::channels() {
            let channel = ChannelClient {
                name: spec.name.into(),
                base_url: format!("{}/channels/{}", self.url, spec.id),
                supports_idempotency_keys: spec.idempotency_keys,
                http_client: client.clone(),
            };
            let rate = spec.rate.per_second * self.speed;
            registry = registry.register::<ProductUpload>(
                Some(spec.id),
                spec.id,
                UpstreamLimits { rate, concurrency: max_concurrency(spec) },
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

/// Maximum number of concurrent requests: rate × latency, and some more, so that
/// the rate can be reached.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn max_concurrency(spec: &sandbox::ChannelProfile) -> u16 {
    let latency = (spec.latency + spec.latency_spread).as_secs_f64();
    (spec.rate.per_second * latency * 1.25).ceil() as u16 + 2
}
