//! What each service allows and how it behaves, at speed 1.

use std::time::Duration;

/// A limit as a token bucket: it holds `bucket` requests and refills at `per_second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests per second at speed 1.
    pub per_second: f64,
    /// Requests that may come at once after a rest; the speed does not change it.
    pub bucket: u32,
}

/// How a channel words the Retry-After of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Whole seconds, at least 1.
    Seconds,
    /// An HTTP date, rounded up to the whole second.
    Date,
}

/// A sales channel. A connector's configuration is derived from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelSpec {
    /// In paths and in the ledger.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    pub rate: Rate,
    /// The mean time that making a product takes, at speed 1.
    pub latency: Duration,
    /// The latency varies evenly by this much either way, by seed, SKU and request.
    pub latency_spread: Duration,
    /// A repeated `Idempotency-Key` gets the first answer.
    pub idempotency_keys: bool,
    /// A second product with the same SKU is refused with 409.
    pub refuses_duplicate_skus: bool,
    pub retry_after: RetryAfter,
}

/// The limit of EC2, at speed 1.
pub const EC2_RATE: Rate = Rate { per_second: 5.0, bucket: 10 };

/// The limit of CloudWatch, at speed 1.
pub const CLOUDWATCH_RATE: Rate = Rate { per_second: 5.0, bucket: 10 };

pub(crate) const EC2: &str = "ec2";
pub(crate) const CLOUDWATCH: &str = "cloudwatch";

static CHANNELS: [ChannelSpec; 3] = [
    ChannelSpec {
        id: "acme",
        name: "Acme",
        rate: Rate { per_second: 2.0, bucket: 2 },
        latency: Duration::from_secs(4),
        latency_spread: Duration::from_secs(2),
        idempotency_keys: true,
        refuses_duplicate_skus: false,
        retry_after: RetryAfter::Seconds,
    },
    ChannelSpec {
        id: "bazaar",
        name: "Bazaar",
        rate: Rate { per_second: 1.6, bucket: 2 },
        latency: Duration::from_secs(3),
        latency_spread: Duration::from_secs(1),
        idempotency_keys: false,
        refuses_duplicate_skus: true,
        retry_after: RetryAfter::Date,
    },
    ChannelSpec {
        id: "corner",
        name: "Corner",
        rate: Rate { per_second: 2.0, bucket: 2 },
        latency: Duration::from_secs(10),
        latency_spread: Duration::ZERO,
        idempotency_keys: false,
        refuses_duplicate_skus: false,
        retry_after: RetryAfter::Seconds,
    },
];

/// The three sales channels, in the order in which people see them.
#[must_use]
pub fn channels() -> &'static [ChannelSpec] {
    &CHANNELS
}

/// Every service that the ledger has a record of.
pub(crate) fn services() -> impl Iterator<Item = &'static str> {
    channels().iter().map(|channel| channel.id).chain([EC2, CLOUDWATCH])
}
