//! Time, injected: whoever decides by it asks a [`Clock`].

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// UTC milliseconds since 1970.
pub trait Clock: Send + Sync + 'static {
    fn now_ms(&self) -> i64;
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
