//! What all the services share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{clock::Clock, faults::Dice, ledger::Ledger, spec::Rate};

pub struct World {
    pub clock: Clock,
    pub dice: Dice,
    pub ledger: Arc<Ledger>,
    speed: f64,
    faults: AtomicBool,
}

impl World {
    /// `speed` is finite and above 0.
    pub fn new(ledger: Ledger, speed: f64, seed: u64, faults: bool) -> Self {
        Self {
            clock: Clock::start(),
            dice: Dice::new(seed),
            ledger: Arc::new(ledger),
            speed,
            faults: AtomicBool::new(faults),
        }
    }

    /// A time at speed 1, as long as it really takes.
    pub fn scaled(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    /// A limit at speed 1, as it really is.
    pub fn rate(&self, rate: Rate) -> Rate {
        Rate { per_second: rate.per_second * self.speed, ..rate }
    }

    pub fn faults(&self) -> bool {
        self.faults.load(Ordering::Relaxed)
    }

    pub fn set_faults(&self, on: bool) {
        self.faults.store(on, Ordering::Relaxed);
    }
}
