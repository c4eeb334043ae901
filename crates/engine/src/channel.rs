//! Configuration of the sales channels.

use crate::{clock::whole_millis, limiter::UpstreamLimits};
use std::time::Duration;

/// Configuration of a sales channel, which products can be uploaded to.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelConfig {
    /// Id of the channel and of its upstream, such as `acme`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// URL of the channel's API, without a trailing slash.
    pub base_url: String,
    /// Limits that the channel sets its callers.
    pub limits: UpstreamLimits,
    /// Expected duration of one call.
    pub latency: Duration,
    /// Whether a call that is repeated with the same idempotency key gets the same
    /// response and has one effect.
    pub supports_idempotency_keys: bool,
    /// Whether the sandbox simulates the channel.
    pub is_sandbox: bool,
}

impl ChannelConfig {
    /// Returns the expected duration of one call, in milliseconds.
    pub fn latency_ms(&self) -> i64 {
        whole_millis(self.latency)
    }
}
