//! The rate limiter of a single process.

use super::{
    ADAPTIVE_WINDOW, Error, LimiterState, MIN_RATE_FACTOR, RATE_SAFETY_FACTOR, RateLimiter,
    RatePermit, Reservation, UpstreamLimits,
};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

/// A rate limiter whose state is in the memory of one process.
#[derive(Default)]
pub struct EmbeddedLimiter {
    upstreams: Mutex<HashMap<String, UpstreamState>>,
}

struct UpstreamState {
    /// Whether a permit was ever reserved; a cooldown alone doesn't count.
    is_initialized: bool,
    /// When the next permit is available.
    next_permit_at: Instant,
    cooldown_until: Option<Instant>,
    last_refusal: Option<Instant>,
    /// Fraction of the full rate; halved by repeated refusals, recovers with time.
    rate_factor: f64,
    rate_factor_since: Instant,
    concurrency_slots: HashSet<Uuid>,
}

impl UpstreamState {
    fn new(now: Instant) -> Self {
        Self {
            is_initialized: false,
            next_permit_at: now,
            cooldown_until: None,
            last_refusal: None,
            rate_factor: 1.0,
            rate_factor_since: now,
            concurrency_slots: HashSet::new(),
        }
    }

    fn rate_factor_at(&self, now: Instant) -> f64 {
        let recovered =
            (now - self.rate_factor_since).as_secs_f64() / ADAPTIVE_WINDOW.as_secs_f64();
        (self.rate_factor + recovered).min(1.0)
    }

    fn cooldown_remaining(&self, now: Instant) -> Option<Duration> {
        self.cooldown_until.filter(|until| *until > now).map(|until| until - now)
    }
}

impl EmbeddedLimiter {
    fn lock_upstreams(&self) -> MutexGuard<'_, HashMap<String, UpstreamState>> {
        self.upstreams.lock()
    }
}

#[async_trait]
impl RateLimiter for EmbeddedLimiter {
    async fn reserve(
        &self,
        upstream: &str,
        limits: &UpstreamLimits,
        slot: Uuid,
        max_ahead: Duration,
    ) -> Result<Reservation, Error> {
        let mut upstreams = self.lock_upstreams();
        let now = Instant::now();
        let state = upstreams.entry(upstream.into()).or_insert_with(|| UpstreamState::new(now));
        if !std::mem::replace(&mut state.is_initialized, true) {
            // No burst credit: the first permit comes after a full interval.
            state.next_permit_at = now + limits.permit_interval();
            return Ok(Reservation::StateLost);
        }
        if !state.concurrency_slots.contains(&slot)
            && state.concurrency_slots.len() >= limits.concurrency.into()
        {
            return Ok(Reservation::NoConcurrencySlot);
        }
        let cooldown = state.cooldown_remaining(now);
        let permit_at = state.next_permit_at.max(now + cooldown.unwrap_or_default());
        let wait = permit_at - now;
        if wait > max_ahead {
            return Ok(Reservation::RetryAfter { wait, in_cooldown: cooldown.is_some() });
        }
        state.next_permit_at =
            permit_at + limits.permit_interval().div_f64(state.rate_factor_at(now));
        state.concurrency_slots.insert(slot);
        Ok(Reservation::Granted(RatePermit { wait, generation: String::new() }))
    }

    async fn confirm(&self, upstream: &str, _generation: &str) -> Result<bool, Error> {
        let now = Instant::now();
        Ok(self
            .lock_upstreams()
            .get(upstream)
            .is_some_and(|state| state.cooldown_remaining(now).is_none()))
    }

    async fn renew(&self, upstream: &str, slots: &[Uuid]) -> Result<(), Error> {
        // Slots don't expire here: their holders live in the same process.
        if let Some(state) = self.lock_upstreams().get_mut(upstream) {
            state.concurrency_slots.extend(slots);
        }
        Ok(())
    }

    async fn release(&self, upstream: &str, slot: Uuid) -> Result<(), Error> {
        if let Some(state) = self.lock_upstreams().get_mut(upstream) {
            state.concurrency_slots.remove(&slot);
        }
        Ok(())
    }

    async fn start_cooldown(
        &self,
        upstream: &str,
        wait: Duration,
        is_new_refusal: bool,
    ) -> Result<(), Error> {
        let mut upstreams = self.lock_upstreams();
        let now = Instant::now();
        let state = upstreams.entry(upstream.into()).or_insert_with(|| UpstreamState::new(now));
        let until = now + wait;
        state.cooldown_until = Some(state.cooldown_until.map_or(until, |before| before.max(until)));
        if is_new_refusal {
            if state.last_refusal.is_some_and(|last| now - last < ADAPTIVE_WINDOW) {
                state.rate_factor = (state.rate_factor_at(now) / 2.0).max(MIN_RATE_FACTOR);
                state.rate_factor_since = now;
            }
            state.last_refusal = Some(now);
        }
        Ok(())
    }

    async fn state(&self, upstream: &str, limits: &UpstreamLimits) -> Result<LimiterState, Error> {
        let upstreams = self.lock_upstreams();
        let now = Instant::now();
        let full_rate = limits.rate * RATE_SAFETY_FACTOR;
        Ok(match upstreams.get(upstream) {
            None => {
                LimiterState { current_rate: full_rate, cooldown_remaining: None, in_flight: 0 }
            }
            Some(state) => LimiterState {
                current_rate: full_rate * state.rate_factor_at(now),
                cooldown_remaining: state.cooldown_remaining(now),
                in_flight: u32::try_from(state.concurrency_slots.len()).unwrap_or(u32::MAX),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test(start_paused = true)]
    async fn passes_the_port_suite() {
        crate::limiter::suite::run(&super::EmbeddedLimiter::default()).await;
    }
}
