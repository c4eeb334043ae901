//! State that all services share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Clock, faults::SeededRng, ledger::Ledger, profiles::RateLimit, server::Options,
};

/// Clock, random numbers, ledger and options of all services.
pub struct Environment {
    /// Clock of limits, ledger and cooldowns.
    pub clock: Clock,
    /// Random numbers of the seed.
    pub rng: SeededRng,
    /// Ledger of all services.
    pub ledger: Arc<Ledger>,
    speed: f64,
    faults_enabled: AtomicBool,
    /// Latency of a product call at speed 1, whatever the channel.
    pub latency: Option<Duration>,
}

impl Environment {
    /// Creates the environment. The speed must be finite and above 0.
    pub fn new(ledger: Ledger, options: &Options) -> Self {
        Self {
            clock: Clock::start(),
            rng: SeededRng::new(options.seed),
            ledger: Arc::new(ledger),
            speed: options.speed,
            faults_enabled: AtomicBool::new(options.faults),
            latency: options.latency,
        }
    }

    /// Returns the real duration of a time at speed 1.
    pub fn scale_duration(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    /// Returns the real rate limit of one at speed 1.
    pub fn scale_rate(&self, rate: RateLimit) -> RateLimit {
        RateLimit { per_second: rate.per_second * self.speed, ..rate }
    }

    /// Whether random faults occur.
    pub fn faults_enabled(&self) -> bool {
        self.faults_enabled.load(Ordering::Relaxed)
    }

    /// Switches random faults on or off.
    pub fn set_faults_enabled(&self, enabled: bool) {
        self.faults_enabled.store(enabled, Ordering::Relaxed);
    }
}
