//! Channels and machines, and the commands that reach them.

use crate::config::Config;
use contract::command::{AlarmCreate, Ec2Start, ProductUpload};
use engine::{
    engine::ChannelSpec,
    gate::{Gates, Limits},
    machines::{PATIENCE, Source},
};
use sandbox::Sandbox;
use std::{sync::Arc, time::Duration};
use worker::{
    Registry,
    connector::{
        self,
        channel::Channel,
        ec2::{Ec2, account::Account},
    },
    handlers::{alarm_create, ec2_start, product_upload},
};

/// The account of EC2, as its gate is called.
const EC2: &str = "ec2";

/// Where the outside is: a sandbox of this process's own, or one that several
/// share.
pub struct Outside {
    url: String,
    speed: f64,
    own: Option<Sandbox>,
}

impl Outside {
    /// The one that `config` knows, or one of this process's own.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let speed = config.sandbox.sandbox_speed;
        match &config.sandbox.sandbox_url {
            Some(url) => Ok(Self { url: url.trim_end_matches('/').into(), speed, own: None }),
            None => Self::start(config).await,
        }
    }

    /// One of this process's own.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let options = &config.sandbox;
        let speed = options.sandbox_speed;
        let own = Sandbox::start(sandbox::Options {
            listen: options.sandbox_listen,
            ledger: config.data.join("sandbox.jsonl"),
            speed,
            seed: options.sandbox_seed,
            faults: options.sandbox_faults,
            latency: options.sandbox_latency_s.map(Duration::from_secs_f64),
        })
        .await?;
        tracing::info!(url = own.base_url(), "the sandbox stands in for the outside");
        Ok(Self { url: own.base_url(), speed, own: Some(own) })
    }

    pub async fn close(self) {
        if let Some(sandbox) = self.own {
            sandbox.stop().await;
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    pub fn channels(&self) -> Vec<ChannelSpec> {
        let spec = |spec: &sandbox::ChannelSpec| ChannelSpec {
            id: spec.id.into(),
            name: spec.name.into(),
            rate: spec.rate.per_second * self.speed,
            concurrency: concurrency(spec),
            latency_ms: (spec.latency.as_secs_f64() / self.speed * 1000.0) as i64,
            sandbox: true,
        };
        sandbox::channels().iter().map(spec).collect()
    }

    fn ec2(&self, client: reqwest::Client) -> Ec2 {
        Ec2 {
            ec2_url: format!("{}/ec2", self.url),
            cloudwatch_url: format!("{}/cloudwatch", self.url),
            client,
        }
    }

    /// The account's machines, read at the pace that its starts keep too.
    pub fn machines(&self, gates: &Gates) -> anyhow::Result<Arc<dyn Source>> {
        let ec2 = self.ec2(connector::client(PATIENCE)?);
        Ok(Arc::new(Account { ec2, gates: gates.clone(), name: EC2.into() }))
    }

    /// Every command that this binary consumes, under leases of that length.
    pub fn registry(&self, lease_ms: i64) -> anyhow::Result<Registry> {
        let lease = Duration::from_millis(u64::try_from(lease_ms).unwrap_or_default());
        let client = connector::client(worker::call_limit(lease))?;
        let mut registry = Registry::default();
        for spec in sandbox::channels() {
            let channel = Channel {
                name: spec.name.into(),
                base_url: format!("{}/channels/{}", self.url, spec.id),
                idempotency_keys: spec.idempotency_keys,
                client: client.clone(),
            };
            let rate = spec.rate.per_second * self.speed;
            registry = registry.on::<ProductUpload>(
                Some(spec.id),
                spec.id,
                Limits { rate, concurrency: concurrency(spec) },
                product_upload::Upload { channel },
            );
        }
        let ec2 = self.ec2(client);
        let poll = Duration::from_secs_f64(5.0 / self.speed);
        let limits = |rate: f64| Limits { rate: rate * self.speed, concurrency: 8 };
        let (ec2_rate, alarm_rate) = (sandbox::EC2_RATE, sandbox::CLOUDWATCH_RATE);
        Ok(registry
            .on::<Ec2Start>(
                None,
                EC2,
                limits(ec2_rate.per_second),
                ec2_start::Start { ec2: ec2.clone(), poll },
            )
            .on::<AlarmCreate>(
                None,
                "cloudwatch",
                limits(alarm_rate.per_second),
                alarm_create::Create { ec2 },
            ))
    }
}

/// Calls at once: rate × latency and some room, or the rate can't be used.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn concurrency(spec: &sandbox::ChannelSpec) -> u16 {
    let latency = (spec.latency + spec.latency_spread).as_secs_f64();
    (spec.rate.per_second * latency * 1.25).ceil() as u16 + 2
}
