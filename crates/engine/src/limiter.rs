//! Rate limiters: the request rate, the concurrency and the cooldown of each
//! upstream.
//!
//! The rate follows [GCRA](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)
//! with a burst of 1, at 0.97 of the upstream's limit. A rate permit is reserved
//! ahead together with a concurrency slot, waited for, and reserved again if it
//! was missed or a cooldown started meanwhile.
//!
//! What admins set, a pause or a lower rate, is in the database and not in the limiter: a pause
//! is neither lost with the limiter's state nor changed by what a service answers. Each process
//! follows it ([`Limiters::follow_controls`]). A pause lets attempts that have sent something
//! go on to their end.
//!
//! [`RateLimiter`] is the port: its steps are atomic for all processes that
//! share it. [`Limiters`] is what workers use: it waits, retries and releases.

pub mod embedded;
mod learned_pace;
mod limiters;
mod permit;
pub mod redis;
#[cfg(any(test, feature = "testing"))]
pub mod suite;

pub use learned_pace::PaceReport;
pub use limiters::{AcquireError, CONTROLS_POLL_INTERVAL, Limiters};
pub use permit::UpstreamPermit;

use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// Fraction of an upstream's limit that is used, because clocks and networks
/// jitter.
pub const RATE_SAFETY_FACTOR: f64 = 0.97;
/// Maximum time ahead for which a rate permit is reserved; a longer wait defers
/// the task.
pub const MAX_RESERVE_AHEAD: Duration = Duration::from_secs(10);
/// Maximum time ahead for which the first rate permit of an attempt is reserved. It is much
/// less than that of further ones, so that attempts which have begun come first: otherwise
/// they could all wait behind beginners until their time is over, begin again, and never
/// finish.
pub const MAX_FIRST_RESERVE_AHEAD: Duration = Duration::from_secs(1);
/// A second refusal by the upstream within this time halves the rate, which
/// recovers fully within the same time.
pub const ADAPTIVE_WINDOW: Duration = Duration::from_secs(60);
/// Time after which a concurrency slot expires unless its holder renews it.
pub const CONCURRENCY_SLOT_TTL: Duration = Duration::from_secs(20);
/// Lower limit of the fraction to which repeated refusals reduce the rate.
const MIN_RATE_FACTOR: f64 = 0.05;

/// Why a rate limiter could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The limiter can't be reached, and without it nobody may call.
    #[error("the rate limiter can't be reached: {0}")]
    Unreachable(String),
    /// The limiter answers, but can't be used until a person acts; the message
    /// says what to do.
    #[error("{0}")]
    Misconfigured(String),
}

/// Limits that an upstream sets.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamLimits {
    /// Requests per second.
    pub rate: f64,
    /// Maximum number of attempts in flight. Below rate × latency, the rate can't be
    /// reached.
    pub concurrency: u16,
}

impl UpstreamLimits {
    /// Returns the interval between two rate permits at the full rate.
    pub fn permit_interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / (self.rate * RATE_SAFETY_FACTOR))
    }
}

/// Permission to send one request at a certain time.
#[derive(Clone, Debug, PartialEq)]
pub struct RatePermit {
    /// Time until the request may be sent, from when the limiter answered.
    pub wait: Duration,
    /// Generation of the limiter's state. A limiter that lost its state starts a
    /// new generation, and doesn't confirm permits of an earlier one.
    pub generation: String,
}

/// Result of one attempt to reserve a rate permit and a concurrency slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Reservation {
    /// The permit and the slot are reserved.
    Granted(RatePermit),
    /// The next permit is further away than the caller may reserve.
    RetryAfter {
        /// Time until the next permit.
        wait: Duration,
        /// Whether a cooldown causes the wait.
        in_cooldown: bool,
    },
    /// Every concurrency slot is in use.
    NoConcurrencySlot,
    /// The limiter had no state of the upstream, and has initialized it without
    /// burst credit. Restore a persisted cooldown, then reserve again.
    StateLost,
}

/// Current state of a rate limiter, for display.
#[derive(Clone, Debug, PartialEq)]
pub struct LimiterState {
    /// Rate that is used now, in requests per second.
    pub current_rate: f64,
    /// Time until the cooldown ends; `None` if there is none.
    pub cooldown_remaining: Option<Duration>,
    /// Number of concurrency slots in use.
    pub in_flight: u32,
}

/// Port to the rate limiters that all processes share. Each method is one atomic
/// step.
#[async_trait]
pub trait RateLimiter: Send + Sync + 'static {
    /// Reserves the next rate permit of `upstream`, if it is at most `max_ahead` away, and
    /// the concurrency slot with the id `slot` unless the caller holds it already.
    ///
    /// # Errors
    /// The limiter can't be used. The step may have happened nevertheless: then
    /// its permit passes unused, and its slot expires after
    /// [`CONCURRENCY_SLOT_TTL`].
    async fn reserve(
        &self,
        upstream: &str,
        limits: &UpstreamLimits,
        slot: Uuid,
        max_ahead: Duration,
    ) -> Result<Reservation, Error>;

    /// Returns whether a permit of this generation may be used now: the limiter
    /// still has the generation's state, and `upstream` is not in a cooldown.
    ///
    /// # Errors
    /// The limiter can't be used.
    async fn confirm(&self, upstream: &str, generation: &str) -> Result<bool, Error>;

    /// Renews concurrency slots that were granted, for another
    /// [`CONCURRENCY_SLOT_TTL`]. A slot that was lost, because the renewal came too
    /// late or the limiter lost its state, is taken again even if all are in use:
    /// its call is still in flight, so it counts, and no new call is admitted until
    /// a slot is free.
    ///
    /// # Errors
    /// The limiter can't be used.
    async fn renew(&self, upstream: &str, slots: &[Uuid]) -> Result<(), Error>;

    /// Releases a concurrency slot.
    ///
    /// # Errors
    /// The limiter can't be used.
    async fn release(&self, upstream: &str, slot: Uuid) -> Result<(), Error>;

    /// Starts a cooldown of `wait`, or extends the current one. `is_new_refusal`
    /// says that the upstream has just refused a request, which may reduce the rate;
    /// otherwise the cooldown is restored from an earlier refusal.
    ///
    /// # Errors
    /// The limiter can't be used.
    async fn start_cooldown(
        &self,
        upstream: &str,
        wait: Duration,
        is_new_refusal: bool,
    ) -> Result<(), Error>;

    /// Returns the current state of `upstream`.
    ///
    /// # Errors
    /// The limiter can't be used.
    async fn state(&self, upstream: &str, limits: &UpstreamLimits) -> Result<LimiterState, Error>;
}
