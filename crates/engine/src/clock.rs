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
