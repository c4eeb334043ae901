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

/// API of a simulated sales channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelApi {
    /// A resource of products with a path for each. The limit counts requests.
    Rest,
    /// One path for all operations, as Shopify's. The limit counts points, which requests cost
    /// by what they do, and a product is created or changed by its handle.
    GraphQl,
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
    /// Its API.
    pub api: ChannelApi,
    /// Rate limit at speed 1, in requests or in points.
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
    /// Whether answers of a [`Rest`](ChannelApi::Rest) API say in `X-RateLimit-Limit` how many
    /// requests a minute takes, and in `X-RateLimit-Remaining` how many are left.
    pub rate_limit_headers: bool,
}

/// Points that looking up a product costs at most.
pub(crate) const FIND_COST: u32 = 6;
/// Points that a change of a product costs, without its variants.
pub(crate) const SET_COST: u32 = 10;

impl ChannelProfile {
    /// Returns the limit in requests: for points, that of lookups and changes of products with
    /// one variant in turn.
    #[must_use]
    pub fn request_limit(&self) -> RateLimit {
        let RateLimit { per_second, burst } = self.rate;
        match self.api {
            ChannelApi::Rest => self.rate,
            ChannelApi::GraphQl => {
                let pair = FIND_COST + SET_COST + 1;
                RateLimit {
                    per_second: per_second * 2.0 / f64::from(pair),
                    burst: burst * 2 / pair,
                }
            }
        }
    }

    /// Whether the same call twice makes one product.
    #[must_use]
    pub const fn is_repeat_safe(&self) -> bool {
        matches!(self.api, ChannelApi::GraphQl)
            || self.idempotency_keys
            || self.rejects_duplicate_skus
    }
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
        api: ChannelApi::Rest,
        rate: RateLimit { per_second: 2.0, burst: 2 },
        latency: Duration::from_secs(4),
        latency_spread: Duration::from_secs(2),
        idempotency_keys: true,
        rejects_duplicate_skus: false,
        retry_after_format: RetryAfterFormat::Seconds,
        rate_limit_headers: false,
    },
    ChannelProfile {
        id: "bazaar",
        name: "Bazaar",
        api: ChannelApi::Rest,
        rate: RateLimit { per_second: 1.6, burst: 2 },
        latency: Duration::from_secs(3),
        latency_spread: Duration::from_secs(1),
        idempotency_keys: false,
        rejects_duplicate_skus: true,
        retry_after_format: RetryAfterFormat::Date,
        rate_limit_headers: false,
    },
    ChannelProfile {
        id: "corner",
        name: "Corner",
        api: ChannelApi::Rest,
        rate: RateLimit { per_second: 2.0, burst: 2 },
        latency: Duration::from_secs(10),
        latency_spread: Duration::ZERO,
        idempotency_keys: false,
        rejects_duplicate_skus: false,
        retry_after_format: RetryAfterFormat::Seconds,
        rate_limit_headers: false,
    },
    ChannelProfile {
        id: "depot",
        name: "Depot",
        api: ChannelApi::GraphQl,
        rate: RateLimit { per_second: 25.0, burst: 100 },
        latency: Duration::from_millis(1_200),
        latency_spread: Duration::from_millis(400),
        idempotency_keys: false,
        rejects_duplicate_skus: false,
        retry_after_format: RetryAfterFormat::Seconds,
        rate_limit_headers: false,
    },
];

/// Returns the id of every service that the ledger records.
pub(crate) fn service_ids(channels: &[ChannelProfile]) -> impl Iterator<Item = &'static str> {
    channels.iter().map(|channel| channel.id).chain([EC2, CLOUDWATCH])
}
