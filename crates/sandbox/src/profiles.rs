//! Limits and behaviour of each service, at speed 1.

use std::time::Duration;

/// A rate limit as a token bucket: it holds `burst` requests and refills at `per_second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Requests per second at speed 1.
    pub per_second: f64,
    /// Requests that may arrive at once after idle time; the speed does not change it.
    pub burst: u32,
}

/// Format of the Retry-After of a channel's 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfterFormat {
    /// Whole seconds, at least 1.
    Seconds,
    /// An HTTP date, rounded up to the whole second.
    Date,
}

/// Behaviour of a simulated sales channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelProfile {
    /// Id in paths and in the ledger.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Rate limit at speed 1.
    pub rate: RateLimit,
    /// Mean time that creating a product takes, at speed 1.
    pub latency: Duration,
    /// Maximum deviation from the mean latency either way, uniform by seed, SKU and request.
    pub latency_spread: Duration,
    /// Whether a repeated `Idempotency-Key` gets the first response.
    pub idempotency_keys: bool,
    /// Whether a second product with the same SKU is rejected with 409.
    pub rejects_duplicate_skus: bool,
    /// Format of the Retry-After of a 429.
    pub retry_after_format: RetryAfterFormat,
}

/// Rate limit of EC2, at speed 1.
pub const EC2_RATE: RateLimit = RateLimit { per_second: 5.0, burst: 10 };

/// Rate limit of CloudWatch, at speed 1.
pub const CLOUDWATCH_RATE: RateLimit = RateLimit { per_second: 5.0, burst: 10 };

pub(crate) const EC2: &str = "ec2";
pub(crate) const CLOUDWATCH: &str = "cloudwatch";

/// Channels that differ in how they reject, repeat and limit, in the order in which
/// people see them.
pub static SAMPLE_CHANNELS: &[ChannelProfile] = &[
    ChannelProfile {
        id: "acme",
        name: "Acme",
        rate: RateLimit { per_second: 2.0, burst: 2 },
        latency: Duration::from_secs(4),
        latency_spread: Duration::from_secs(2),
        idempotency_keys: true,
        rejects_duplicate_skus: false,
        retry_after_format: RetryAfterFormat::Seconds,
    },
    ChannelProfile {
        id: "bazaar",
        name: "Bazaar",
        rate: RateLimit { per_second: 1.6, burst: 2 },
        latency: Duration::from_secs(3),
        latency_spread: Duration::from_secs(1),
        idempotency_keys: false,
        rejects_duplicate_skus: true,
        retry_after_format: RetryAfterFormat::Date,
    },
    ChannelProfile {
        id: "corner",
        name: "Corner",
        rate: RateLimit { per_second: 2.0, burst: 2 },
        latency: Duration::from_secs(10),
        latency_spread: Duration::ZERO,
        idempotency_keys: false,
        rejects_duplicate_skus: false,
        retry_after_format: RetryAfterFormat::Seconds,
    },
];

/// Returns the id of every service that the ledger records.
pub(crate) fn service_ids(channels: &[ChannelProfile]) -> impl Iterator<Item = &'static str> {
    channels.iter().map(|channel| channel.id).chain([EC2, CLOUDWATCH])
}
