//! Reads the files of the channels again on SIGHUP, without losing work: attempts that have
//! begun end with the file that they began with.

use super::channels::{channel_config, load_folder};
use engine::{Engine, limiter::Limiters};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use worker::connector::channel::{ChannelClient, ChannelHandle};

/// What a changed file is applied to.
pub struct ChannelReload {
    pub folder: PathBuf,
    pub handles: BTreeMap<String, Arc<ChannelHandle>>,
    pub limiters: Limiters,
    pub engine: Engine,
    /// Time limit of a request.
    pub timeout: Duration,
}

impl ChannelReload {
    /// Reloads the files on every SIGHUP until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::warn!(%error, "can't listen for SIGHUP: channels are read at start only");
                return;
            }
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                received = hangup.recv() => {
                    if received.is_none() {
                        return;
                    }
                }
            }
            match self.reload() {
                Ok(count) => tracing::info!(count, "the files of the channels were read again"),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the channels stay as they were");
                }
            }
        }
    }

    /// Applies the files, all of them or none. Returns the number of channels.
    fn reload(&self) -> anyhow::Result<usize> {
        let channels = load_folder(&self.folder)?;
        let mut clients = Vec::with_capacity(channels.len());
        for channel in channels {
            let config = channel_config(&channel, false);
            let Some(handle) = self.handles.get(&channel.id) else {
                tracing::warn!(channel = channel.id, "a channel was added: restart to use it");
                continue;
            };
            clients.push((Arc::clone(handle), ChannelClient::new(channel, self.timeout)?, config));
        }
        let kept: Vec<_> = clients.iter().map(|(_, _, config)| config.id.as_str()).collect();
        for removed in self.handles.keys().filter(|id| !kept.contains(&id.as_str())) {
            tracing::warn!(channel = removed, "a channel's file is gone: restart to remove it");
        }
        let mut configs = self.engine.channels().to_vec();
        let count = clients.len();
        for (handle, client, config) in clients {
            handle.replace(client);
            self.limiters.add_upstream(&config.id, config.limits.clone());
            if let Some(known) = configs.iter_mut().find(|known| known.id == config.id) {
                *known = config;
            }
        }
        self.engine.replace_channels(configs);
        Ok(count)
    }
}
