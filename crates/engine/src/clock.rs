//! Injectable clocks: every decision by time uses a [`Clock`].

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Returns a duration in whole milliseconds, for arithmetic with times of the database. A
/// duration of millions of years is shortened, so that it can be added to a time.
pub fn whole_millis(duration: Duration) -> i64 {
    const MAX: i64 = i64::MAX / 2;
    i64::try_from(duration.as_millis()).unwrap_or(MAX).min(MAX)
}

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Returns UTC milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Sets the clock to the database's time. Clocks that don't follow the database
    /// ignore it.
    fn sync_to(&self, _now_ms: i64) {}
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The clock of a process that uses its database exclusively. It starts at the
/// machine's time, advances with the monotonic clock, and approaches the machine's time
/// by at most a twentieth of the time that passes. If the machine's clock is set forward
/// or back by a day, neither is everything due at once nor does anything wait for a day.
pub struct SlewingClock(Mutex<ClockReading>);

/// The last reading of a [`SlewingClock`], in nanoseconds.
struct ClockReading {
    /// Monotonic time.
    monotonic_ns: i128,
    /// UTC since 1970.
    utc_ns: i128,
}

/// Passing time is lengthened or shortened by at most this fraction of it, inverted.
const SLEW_DIVISOR: i128 = 20;

impl SlewingClock {
    fn starting_at(elapsed: i128, wall: i128) -> Self {
        Self(Mutex::new(ClockReading { monotonic_ns: elapsed, utc_ns: wall }))
    }

    /// Returns UTC nanoseconds, given the monotonic time `elapsed` and the machine's time
    /// `wall`, both in nanoseconds.
    fn read_utc_ns(&self, elapsed: i128, wall: i128) -> i128 {
        let mut last = self.0.lock();
        let passed = (elapsed - last.monotonic_ns).max(0);
        let max_slew = passed / SLEW_DIVISOR;
        let unslewed = last.utc_ns + passed;
        let now = unslewed + (wall - unslewed).clamp(-max_slew, max_slew);
        *last = ClockReading { monotonic_ns: last.monotonic_ns.max(elapsed), utc_ns: now };
        now
    }
}

impl Default for SlewingClock {
    fn default() -> Self {
        Self::starting_at(monotonic_ns(), wall_ns())
    }
}

impl Clock for SlewingClock {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.read_utc_ns(monotonic_ns(), wall_ns()) / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// Returns nanoseconds since the machine started, including time asleep.
fn monotonic_ns() -> i128 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    // On other systems this clock includes time asleep as well.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

fn wall_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

/// The database's clock: its last known time plus the time since. The machine's own
/// clock may be an hour off, or jump.
#[derive(Debug, Default)]
pub struct DatabaseClock(Mutex<Option<(i64, Instant)>>);

impl Clock for DatabaseClock {
    fn now_ms(&self) -> i64 {
        match *self.0.lock() {
            Some((last_known_ms, at)) => last_known_ms
                .saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX)),
            None => SystemClock.now_ms(),
        }
    }

    fn sync_to(&self, now_ms: i64) {
        *self.0.lock() = Some((now_ms, Instant::now()));
    }
}

/// A clock that tests advance by hand.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// Creates a clock that stands at `ms`.
    pub fn at(ms: i64) -> Arc<Self> {
        Arc::new(Self(ms.into()))
    }

    /// Moves the clock by `ms`, back if negative.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;
    const DAY: i128 = 86_400 * SECOND;

    #[test]
    fn clock_changes_are_slewed_by_at_most_a_twentieth() {
        let clock = SlewingClock::starting_at(0, 100 * DAY);
        assert_eq!(
            clock.read_utc_ns(10 * SECOND, 100 * DAY + 10 * SECOND),
            100 * DAY + 10 * SECOND
        );
        // Set a day forward: 20 s pass as 21.
        let ahead = clock.read_utc_ns(30 * SECOND, 101 * DAY + 30 * SECOND);
        assert_eq!(ahead, 100 * DAY + 31 * SECOND);
        // Set a day back: 20 s pass as 19, which compensates for the second before.
        let back = clock.read_utc_ns(50 * SECOND, 99 * DAY + 50 * SECOND);
        assert_eq!(back, 100 * DAY + 50 * SECOND);
        assert_eq!(clock.read_utc_ns(50 * SECOND, 99 * DAY), back, "no time has passed");
        // It reaches the machine's time and stays with it.
        let right = 100 * DAY + 5_000 * SECOND;
        assert_eq!(clock.read_utc_ns(5_000 * SECOND, right), right);
    }
}
