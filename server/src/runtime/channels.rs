//! Sales channels of this installation.

use engine::{channel::ChannelConfig, limiter::UpstreamLimits};
use sandbox::{ChannelProfile, SAMPLE_CHANNELS};

/// Returns the behaviour of the channels that a sandbox of this installation simulates.
pub fn simulated_channels() -> Vec<ChannelProfile> {
    SAMPLE_CHANNELS.to_vec()
}

/// Returns the configuration of the channels at the sandbox with the URL `base_url`, whose
/// `speed` divides latencies and multiplies rates.
pub fn sandbox_channels(base_url: &str, speed: f64) -> Vec<ChannelConfig> {
    let config = |profile: &ChannelProfile| ChannelConfig {
        id: profile.id.into(),
        name: profile.name.into(),
        base_url: sandbox::channel_url(base_url, profile.id),
        limits: UpstreamLimits {
            rate: profile.rate.per_second * speed,
            concurrency: max_concurrency(profile),
        },
        latency: profile.latency.div_f64(speed),
        supports_idempotency_keys: profile.idempotency_keys,
        is_sandbox: true,
    };
    simulated_channels().iter().map(config).collect()
}

/// Maximum number of concurrent requests: rate × latency, and some more, so that
/// the rate can be reached.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn max_concurrency(profile: &ChannelProfile) -> u16 {
    let latency = (profile.latency + profile.latency_spread).as_secs_f64();
    (profile.rate.per_second * latency * 1.25).ceil() as u16 + 2
}
