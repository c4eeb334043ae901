//! Sales channels of this installation: the files of a folder, or those of the sandbox.

use crate::{config::Config, redact};
use anyhow::{Context, bail};
use channels::{Channel, Mistakes, settings::ProcessSecrets};
use engine::{channel::ChannelConfig, limiter::UpstreamLimits};
use std::{
    io::{Write, stdout},
    path::Path,
    time::Duration,
};
use worker::connector::channel::ChannelClient;

/// Time limit of a request of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// Loads the channels of a folder: each file `*.toml` is one, in the order of the names.
///
/// # Errors
/// The folder can't be read or has no channel, or files have mistakes: all of them are named.
pub fn load_folder(folder: &Path) -> anyhow::Result<Vec<Channel>> {
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!("can't read the folder of the channels, {} (MEANWHILE_CHANNELS)", folder.display())
    })?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        bail!(
            "{} has no channel: put a file such as my-shop.toml there (see docs/channels)",
            folder.display()
        );
    }
    let mut loaded = Vec::new();
    let mut mistakes = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("can't read {}", path.display()))?;
        match Channel::load(&path.display().to_string(), &text, &ProcessSecrets, &[]) {
            Ok(channel) => {
                redact::add_secrets(channel.settings.secrets().map(str::to_owned));
                loaded.push(channel);
            }
            Err(Mistakes(found)) => mistakes.extend(found),
        }
    }
    if !mistakes.is_empty() {
        bail!("the files of the channels have mistakes:\n{}", Mistakes(mistakes));
    }
    Ok(loaded)
}

/// Returns the channels at the sandbox with the URL `base_url`, whose `speed` divides
/// latencies and multiplies rates. `latency` is that of every channel at speed 1, if it was
/// configured.
///
/// # Errors
/// The sandbox's own files have a mistake.
pub fn sandbox_channels(
    base_url: &str,
    speed: f64,
    latency: Option<Duration>,
) -> Result<Vec<Channel>, Mistakes> {
    let load = |(file, text): &(&str, &str)| {
        let id = file.trim_end_matches(".toml");
        let url = sandbox::channel_url(base_url, id);
        let overrides = [("url", url.as_str().into())];
        let mut channel = Channel::load(file, text, &ProcessSecrets, &overrides)?;
        channel.pace.rate *= speed;
        channel.pace.latency = latency.unwrap_or(channel.pace.latency).div_f64(speed);
        Ok(channel)
    };
    sandbox::CHANNEL_FILES.iter().map(load).collect()
}

/// Returns what pages, launches and estimates know about a channel.
pub fn channel_config(channel: &Channel, is_sandbox: bool) -> ChannelConfig {
    let pace = &channel.pace;
    ChannelConfig {
        id: channel.id.clone(),
        name: channel.name.clone(),
        limits: UpstreamLimits { rate: pace.rate, concurrency: pace.concurrency },
        latency: pace.latency,
        requests_per_upload: pace.requests,
        is_sandbox,
    }
}

/// Checks the files of the channels, and calls each service once with a request that changes
/// nothing. Prints what it found.
///
/// # Errors
/// A file has mistakes, there is no such channel, or a service does not answer as it should.
pub async fn check(config: &Config, name: Option<&str>) -> anyhow::Result<()> {
    let Some(folder) = &config.channels else {
        bail!("set MEANWHILE_CHANNELS to the folder with the files of the channels");
    };
    let mut channels = load_folder(folder)?;
    if let Some(name) = name {
        let ids: Vec<_> = channels.iter().map(|channel| channel.id.clone()).collect();
        channels.retain(|channel| channel.id == name);
        if channels.is_empty() {
            bail!("there is no channel {name}; there are {}", ids.join(", "));
        }
    }
    let mut failures = 0;
    for channel in channels {
        let (id, host) = (channel.id.clone(), channel.base_url.clone());
        let answer = match ChannelClient::new(channel, CHECK_TIMEOUT) {
            Ok(client) => client.check().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let line = match answer {
            Ok(Some(says)) => format!("{id}: the file is right, and {host} answers: {says}"),
            Ok(None) => {
                format!("{id}: the file is right. It has no [check], so nobody called {host}.")
            }
            Err(why) => {
                failures += 1;
                format!("{id}: the file is right, but {host} can't be used: {why}")
            }
        };
        writeln!(stdout(), "{line}")?;
    }
    anyhow::ensure!(failures == 0, "{failures} channels can't be used");
    Ok(())
}
