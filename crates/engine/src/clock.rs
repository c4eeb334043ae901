//! Time, injected: whoever decides by it asks a [`Clock`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// UTC milliseconds since 1970.
pub trait Clock: Send + Sync + 'static {
    fn now_ms(&self) -> i64;

    /// The database says that it is `now_ms`. A clock that follows nobody
    /// does not listen.
    fn follow(&self, _now_ms: i64) {}
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Time of a process that shares its database with nobody: as much passes as on
/// a clock that nobody can set, and it approaches the machine's clock by at most
/// a twentieth of what passes. A machine whose clock is set forward or back by a
/// day neither makes everything due nor makes anything wait for a day. It starts
/// at the machine's time.
pub struct Steady(Mutex<Reading>);

/// The last reading of [`Steady`], nanoseconds.
struct Reading {
    /// Of a clock that only goes forward.
    elapsed: i128,
    /// UTC since 1970.
    now: i128,
}

/// What passes is changed by at most this part of it.
const SLEW: i128 = 20;

impl Steady {
    fn at(elapsed: i128, wall: i128) -> Self {
        Self(Mutex::new(Reading { elapsed, now: wall }))
    }

    /// UTC ns, where the clock that only goes forward says `elapsed` and the
    /// machine's says `wall`, both ns.
    fn read(&self, elapsed: i128, wall: i128) -> i128 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = (elapsed - last.elapsed).max(0);
        let most = passed / SLEW;
        let steady = last.now + passed;
        let now = steady + (wall - steady).clamp(-most, most);
        *last = Reading { elapsed: last.elapsed.max(elapsed), now };
        now
    }
}

impl Default for Steady {
    fn default() -> Self {
        Self::at(elapsed_ns(), wall_ns())
    }
}

impl Clock for Steady {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.read(elapsed_ns(), wall_ns()) / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// Nanoseconds that have passed since the machine started, asleep or not.
fn elapsed_ns() -> i128 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    // Elsewhere it counts while the machine sleeps, too.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

fn wall_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

/// The database's clock: what it said last, and what has passed since. The
/// machine's own may be an hour off, or jump.
#[derive(Debug, Default)]
pub struct Followed(Mutex<Option<(i64, Instant)>>);

impl Clock for Followed {
    fn now_ms(&self) -> i64 {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((said, at)) => {
                said.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX))
            }
            None => System.now_ms(),
        }
    }

    fn follow(&self, now_ms: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now_ms, Instant::now()));
    }
}

/// A clock that a test moves by hand.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct Steered(std::sync::atomic::AtomicI64);

#[cfg(any(test, feature = "testing"))]
impl Steered {
    pub fn at(ms: i64) -> Arc<Self> {
        Arc::new(Self(ms.into()))
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for Steered {
    fn now_ms(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// A shared clock.
pub type Shared = Arc<dyn Clock>;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;
    const DAY: i128 = 86_400 * SECOND;

    #[test]
    fn a_clock_that_is_set_moves_time_by_a_twentieth_of_what_passes() {
        let clock = Steady::at(0, 100 * DAY);
        assert_eq!(clock.read(10 * SECOND, 100 * DAY + 10 * SECOND), 100 * DAY + 10 * SECOND);
        // A day forward: 20 s pass as 21.
        let ahead = clock.read(30 * SECOND, 101 * DAY + 30 * SECOND);
        assert_eq!(ahead, 100 * DAY + 31 * SECOND);
        // And a day back: 20 s pass as 19, and what went ahead is made up for.
        let back = clock.read(50 * SECOND, 99 * DAY + 50 * SECOND);
        assert_eq!(back, 100 * DAY + 50 * SECOND);
        assert_eq!(clock.read(50 * SECOND, 99 * DAY), back, "no time has passed");
        // It arrives at the machine's time and stays with it.
        let right = 100 * DAY + 5_000 * SECOND;
        assert_eq!(clock.read(5_000 * SECOND, right), right);
    }
}
