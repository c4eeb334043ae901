//! State that all services share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Clock,
    faults::SeededRng,
    ledger::Ledger,
    profiles::{ChannelProfile, RateLimit},
    server::Options,
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
    latency: Option<Duration>,
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

    /// Returns how long the `nth` (from 0) call of a channel about `sku` takes.
    pub fn call_latency(&self, profile: &ChannelProfile, sku: &str, nth: u32) -> Duration {
        if let Some(latency) = self.latency {
            return self.scale_duration(latency);
        }
        let fraction = self.rng.random_fraction("latency", profile.id, sku, nth);
        let shortest = profile.latency.saturating_sub(profile.latency_spread);
        self.scale_duration(shortest + profile.latency_spread.mul_f64(2.0 * fraction))
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
