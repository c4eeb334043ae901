//! Configuration of the sales channels.

use crate::{clock::whole_millis, limiter::UpstreamLimits};
use std::time::Duration;

/// What pages, launches and estimates know about a sales channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelConfig {
    /// Id of the channel and of its upstream, such as `acme`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Limits that the channel sets its callers.
    pub limits: UpstreamLimits,
    /// Expected duration of one call.
    pub latency: Duration,
    /// Number of requests that the upload of a new product takes.
    pub requests_per_upload: u32,
    /// Whether the sandbox simulates the channel.
    pub is_sandbox: bool,
}

impl ChannelConfig {
    /// Returns the expected duration of one call, in milliseconds.
    pub fn latency_ms(&self) -> i64 {
        whole_millis(self.latency)
    }
}
