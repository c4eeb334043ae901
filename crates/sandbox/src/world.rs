//! What all the services share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{clock::Clock, faults::Dice, ledger::Ledger, server::Options, spec::Rate};

pub struct World {
    pub clock: Clock,
    pub dice: Dice,
    pub ledger: Arc<Ledger>,
    speed: f64,
    faults: AtomicBool,
    /// Of a product call at speed 1, whatever the channel.
    pub latency: Option<Duration>,
}

impl World {
    /// The speed is finite and above 0.
    pub fn new(ledger: Ledger, options: &Options) -> Self {
        Self {
            clock: Clock::start(),
            dice: Dice::new(options.seed),
            ledger: Arc::new(ledger),
            speed: options.speed,
            faults: AtomicBool::new(options.faults),
            latency: options.latency,
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
