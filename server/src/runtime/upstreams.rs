//! Channels and machines, and the commands that call them.

use super::{
    channels,
    machines::{self, MachineRegion},
    probes::ChannelProbe,
};
use crate::config::Config;
use ::channels::Channel;
use anyhow::Context;
use contract::command::{Command, ProductUpload, queue_name};
use engine::{
    channel::ChannelConfig, limiter::Limiters, machines::MachineSource, upstream::Upstream,
};
use parking_lot::Mutex;
use sandbox::{SAMPLE_CHANNELS, Sandbox};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use worker::{
    Registry,
    connector::channel::{ChannelClient, ChannelHandle},
    handlers::product_upload,
};

/// External services: a sandbox in this process, or one that several processes
/// share.
pub struct Upstreams {
    channels: Vec<Channel>,
    channel_configs: Vec<ChannelConfig>,
    channel_handles: Mutex<BTreeMap<String, Arc<ChannelHandle>>>,
    machines: Vec<MachineRegion>,
    own_sandbox: Option<Sandbox>,
}

impl Upstreams {
    async fn new(
        url: String,
        config: &Config,
        own_sandbox: Option<Sandbox>,
    ) -> anyhow::Result<Self> {
        let options = &config.sandbox;
        let speed = options.sandbox_speed;
        let channels = match &config.channels {
            Some(folder) => channels::load_folder(folder)?,
            None => channels::sandbox_channels(&url, speed, options.sandbox_latency)?,
        };
        let is_sandbox = config.channels.is_none();
        let channel_configs =
            channels.iter().map(|channel| channels::channel_config(channel, is_sandbox)).collect();
        let channel_handles = Mutex::default();
        let machines = match &config.aws {
            Some(aws) => machines::aws_regions(aws, config.lease).await?,
            // Beside real channels, simulated machines would look like real ones.
            None if config.channels.is_some() => Vec::new(),
            None => vec![machines::sandbox_region(&url, speed, config.lease)?],
        };
        Ok(Self { channels, channel_configs, channel_handles, machines, own_sandbox })
    }

    /// Uses the sandbox that `config` names, or starts one if it is needed.
    ///
    /// # Errors
    /// The sandbox can't be started.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        match &config.sandbox.sandbox_url {
            Some(url) => Self::new(url.expose_secret().into(), config, None).await,
            // Nothing is simulated.
            None if config.channels.is_some() => Self::new(String::new(), config, None).await,
            None => Self::start(config).await,
        }
    }

    /// Starts a sandbox in this process.
    ///
    /// # Errors
    /// The sandbox can't be started.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let options = &config.sandbox;
        let own_sandbox = Sandbox::start(sandbox::Options {
            listen: options.sandbox_listen,
            ledger: config.data.join("sandbox.jsonl"),
            speed: options.sandbox_speed,
            seed: options.sandbox_seed,
            faults: options.sandbox_faults,
            latency: options.sandbox_latency,
            channels: SAMPLE_CHANNELS.to_vec(),
        })
        .await?;
        tracing::info!(url = own_sandbox.base_url(), "the sandbox simulates the external services");
        Self::new(own_sandbox.base_url(), config, Some(own_sandbox)).await
    }

    /// Stops the sandbox if this process started it.
    pub async fn close(self) {
        if let Some(sandbox) = self.own_sandbox {
            sandbox.stop().await;
        }
    }

    /// Returns the configuration of the channels.
    pub fn channels(&self) -> &[ChannelConfig] {
        &self.channel_configs
    }

    /// Returns the sources of the machines.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn machine_sources(
        &self,
        limiters: &Limiters,
    ) -> anyhow::Result<Vec<Arc<dyn MachineSource>>> {
        self.machines.iter().map(|region| region.source(limiters)).collect()
    }

    /// Returns the upstreams as operators see them. The handlers are registered already.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn descriptions(&self, limiters: &Limiters) -> anyhow::Result<Vec<Upstream>> {
        let handles = self.channel_handles.lock();
        let channels = self.channel_configs.iter().filter_map(|config| {
            let queue = queue_name(ProductUpload::KIND, Some(&config.id), ProductUpload::VERSION);
            Some(Upstream {
                id: config.id.clone(),
                name: config.name.clone(),
                limits: vec![config.id.clone()],
                queues: vec![queue],
                probe: Arc::new(ChannelProbe(Arc::clone(handles.get(&config.id)?))),
                check_lock: Arc::default(),
            })
        });
        let mut all: Vec<_> = channels.collect();
        for region in &self.machines {
            all.push(region.description(limiters)?);
        }
        Ok(all)
    }

    /// Returns the clients of the channels whose handlers are registered, by id.
    pub fn channel_handles(&self) -> BTreeMap<String, Arc<ChannelHandle>> {
        self.channel_handles.lock().clone()
    }

    /// Returns the handlers of all commands that call an upstream, for leases of
    /// length `lease`.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn registry(&self, lease: Duration) -> anyhow::Result<Registry> {
        let timeout = worker::request_timeout(lease);
        let mut registry = Registry::default();
        for (channel, config) in self.channels.iter().zip(&self.channel_configs) {
            let client = ChannelClient::new(channel.clone(), timeout)
                .with_context(|| format!("the channel {}", channel.id))?;
            let handle = Arc::new(ChannelHandle::new(client));
            self.channel_handles.lock().insert(channel.id.clone(), Arc::clone(&handle));
            registry = registry.register::<ProductUpload>(
                Some(&config.id),
                &config.id,
                config.limits.clone(),
                product_upload::ProductUploadHandler { channel: handle },
            );
        }
        Ok(self.machines.iter().fold(registry, |registry, region| region.register(registry)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::catalogue::COMMANDS;
    use worker::handlers::noop_run;

    #[test]
    fn handlers_declare_the_commands_that_the_catalogue_says_they_may_cause() {
        let (url, lease) = ("http://127.0.0.1:9", Duration::from_secs(60));
        let channels = channels::sandbox_channels(url, 1.0, None).unwrap();
        let upstreams = Upstreams {
            channel_configs: channels.iter().map(|it| channels::channel_config(it, true)).collect(),
            channels,
            channel_handles: Mutex::default(),
            machines: vec![machines::sandbox_region(url, 1.0, lease).unwrap()],
            own_sandbox: None,
        };
        let registry = upstreams.registry(lease).unwrap();
        let declared = registry.register_unlimited(1, noop_run::NoopRunHandler).declared_causes();
        let is_command = |kind: &&str| COMMANDS.iter().any(|command| command.kind == *kind);
        for command in COMMANDS {
            let catalogued: Vec<_> = command.may_cause.iter().copied().filter(is_command).collect();
            assert_eq!(declared[command.kind], catalogued, "{}", command.kind);
        }
        assert_eq!(declared.len(), COMMANDS.len(), "{declared:?}");
    }
}
