//! The clock of limits, ledger and cooldowns.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub type Micros = u64;

/// Starts at the wall clock's time and advances by the monotonic clock: a corrected wall clock
/// changes no limit, and times of one run can still be compared with those of the next.
pub struct Clock {
    started_at: Micros,
    monotonic_start: Instant,
}

impl Clock {
    /// Starts a clock at the wall clock's time.
    pub fn start() -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_at: micros(started_at), monotonic_start: Instant::now() }
    }

    /// Returns the current time.
    pub fn now(&self) -> Micros {
        self.started_at.saturating_add(micros(self.monotonic_start.elapsed()))
    }
}

/// Converts a duration to whole microseconds.
pub fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
