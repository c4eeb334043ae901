//! One clock for limits, ledger and closures.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub type Micros = u64;

/// Runs on by the monotonic clock from the wall clock's time at start: a corrected wall clock
/// changes no limit, yet the ledger of one run can be compared with that of the next.
pub struct Clock {
    wall: Micros,
    started: Instant,
}

impl Clock {
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: micros(wall), started: Instant::now() }
    }

    pub fn now(&self) -> Micros {
        self.wall.saturating_add(micros(self.started.elapsed()))
    }
}

pub fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
