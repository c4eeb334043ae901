//! The gate of an external account: pace, calls at once, and closed until.
//!
//! Pace is [GCRA](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)
//! with a burst of 1 at 0.97 of the account's limit. A slot is reserved ahead
//! together with a place, waited for, and reserved anew when it was missed or
//! when the account closed meanwhile.
//!
//! [`Gate`] is the port: steps that are atomic for all who share it.
//! [`Gates`] is what workers use: it waits, tries anew, and lets go.

pub mod embedded;
mod gates;
mod permit;
pub mod redis;
#[cfg(any(test, feature = "testing"))]
pub mod suite;

pub use gates::{Gates, Refused};
pub use permit::Permit;

use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// The part of an account's limit that is used: clocks and networks jitter.
pub const SHARE: f64 = 0.97;
/// Slots are reserved at most this far ahead; a longer wait puts the task off.
pub const AHEAD: Duration = Duration::from_secs(10);
/// A second refusal within this time halves the pace; as long after the last
/// one it is whole again.
pub const STORM: Duration = Duration::from_secs(60);
/// A place whose holder was not heard of for this long is free again.
pub const PLACE_LIFE: Duration = Duration::from_secs(20);
/// However stormy it is, this part of the pace is left.
const LEAST: f64 = 0.05;

/// Why a gate could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody may call meanwhile: without it there is no pace.
    #[error("the gates can't be reached: {0}")]
    Unreachable(String),
    /// They answer, and can't be used until a person acts: the sentence says
    /// what to do.
    #[error("{0}")]
    Unusable(String),
}

/// What an account allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second.
    pub rate: f64,
    /// Calls at once; at least rate × latency, or the rate can't be used.
    pub concurrency: u16,
}

impl Limits {
    /// Between two slots while nothing is refused.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / (self.rate * SHARE))
    }
}

/// A time at which one request may be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// From when the answer came.
    pub wait: Duration,
    /// Of the gate's memory: a gate that forgot everything knows no slot of
    /// the time before.
    pub generation: String,
}

/// The answer to one attempt to reserve.
#[derive(Clone, Debug, PartialEq)]
pub enum Reserved {
    Slot(Slot),
    /// The next slot is more than [`AHEAD`] away. `closed`: by the service.
    Later {
        wait: Duration,
        closed: bool,
    },
    /// Every place is taken.
    Full,
    /// The gate knew nothing of the account, and has begun anew without
    /// credit. Tell it until when the account is closed, then ask again.
    Anew,
}

/// A gate as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The rate that is used now, requests a second.
    pub pace: f64,
    /// How long the account is still closed.
    pub closed_for: Option<Duration>,
    /// Places that are taken.
    pub in_flight: u32,
}

/// A port: the gates of all who share it. Each method is one atomic step.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Reserves the next slot of `account`, and a place under the name
    /// `place` unless it is held already.
    ///
    /// # Errors
    /// The gate can't be reached. A step whose answer was lost counts as
    /// taken: its slot passes unused, its place is freed after [`PLACE_LIFE`].
    async fn reserve(&self, account: &str, limits: &Limits, place: Uuid)
    -> Result<Reserved, Error>;

    /// Whether a slot of that generation may be used now: the gate still
    /// knows it, and the account is open.
    async fn confirm(&self, account: &str, generation: &str) -> Result<bool, Error>;

    /// Keeps places, which their holders have been given, for another
    /// [`PLACE_LIFE`]. One that was lost, for it was kept too late or the gate
    /// lost its memory, is taken back even where all are taken: the call goes
    /// on, so it counts, and nobody new enters until there is room again.
    async fn keep(&self, account: &str, places: &[Uuid]) -> Result<(), Error>;

    async fn release(&self, account: &str, place: Uuid) -> Result<(), Error>;

    /// The service said: not before `wait`. `refused`: just now, which counts
    /// towards a storm; else it is known from before.
    async fn close(&self, account: &str, wait: Duration, refused: bool) -> Result<(), Error>;

    async fn condition(&self, account: &str, limits: &Limits) -> Result<Condition, Error>;
}
