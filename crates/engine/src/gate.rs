//! The gate of an external account: pace, calls at once, and closed until.
//!
//! Pace is [GCRA](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)
//! with a burst of 1 at 0.97 of the account's limit. A slot is reserved ahead,
//! waited for, and reserved anew when it was missed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// The part of an account's limit that is used: clocks and networks jitter.
pub const SHARE: f64 = 0.97;
/// Slots are reserved at most this far ahead; a longer wait puts the task off.
pub const AHEAD: Duration = Duration::from_secs(10);
/// A slot that is missed by more than this, or by half an interval, is given up.
const LATE: Duration = Duration::from_millis(50);
/// A second 429 within this time halves the pace.
const STORM: Duration = Duration::from_secs(60);

/// What an account allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second.
    pub rate: f64,
    /// Calls at once; at least rate × latency, or the rate can't be used.
    pub concurrency: u16,
}

/// Leave to make one request now. Holds one of the account's places until
/// it is dropped.
pub struct Permit {
    _place: OwnedSemaphorePermit,
    slot: Instant,
}

/// What a caller may do.
pub enum Entry {
    /// Call now.
    Now(Permit),
    /// Not before this long: put the task off. `closed`: by the service.
    Later { wait: Duration, closed: bool },
}

struct Account {
    limits: Limits,
    places: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

struct Pace {
    /// The first slot that nobody has.
    next: Instant,
    closed_until: Option<Instant>,
    last_refusal: Option<Instant>,
    /// 1 is the full share; halved by storms, and it recovers.
    factor: f64,
    factor_since: Instant,
}

/// The gates of one process.
#[derive(Default)]
pub struct Embedded {
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

impl Embedded {
    /// Makes the gate of `account`. There is no credit from before: its first
    /// slot comes after a full interval.
    pub fn add(&self, account: &str, limits: Limits) {
        let now = Instant::now();
        let interval = Duration::from_secs_f64(1.0 / (limits.rate * SHARE));
        let pace = Pace {
            next: now + interval,
            closed_until: None,
            last_refusal: None,
            factor: 1.0,
            factor_since: now,
        };
        let places = Arc::new(Semaphore::new(limits.concurrency.into()));
        let made = Arc::new(Account { limits, places, pace: Mutex::new(pace) });
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(account.into(), made);
    }

    fn account(&self, account: &str) -> Option<Arc<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    /// Waits for a place and a slot. An account without a gate is not paced.
    pub async fn enter(&self, account: &str) -> Entry {
        let Some(gate) = self.account(account) else {
            self.add(account, Limits { rate: 5.0, concurrency: 4 });
            return Entry::Later { wait: Duration::from_millis(200), closed: false };
        };
        let Ok(place) = Arc::clone(&gate.places).acquire_owned().await else {
            return Entry::Later { wait: AHEAD, closed: false };
        };
        match gate.next().await {
            Ok(slot) => Entry::Now(Permit { _place: place, slot }),
            Err(later) => later,
        }
    }

    /// Makes sure, right before a call, that the slot of `held` is still
    /// fresh: a claim may have taken its time. A stale one is given up.
    pub async fn fresh(&self, account: &str, held: &Permit) -> Result<(), Entry> {
        let Some(gate) = self.account(account) else { return Ok(()) };
        if gate.is_fresh(held.slot) { Ok(()) } else { gate.next().await.map(|_| ()) }
    }

    /// Waits for another slot of a place that is held already.
    pub async fn again(&self, account: &str, _held: &Permit) -> Result<(), Entry> {
        let Some(gate) = self.account(account) else { return Ok(()) };
        gate.next().await.map(|_| ())
    }

    /// The service said: not before `wait`. A second refusal within a minute
    /// halves the pace.
    pub fn close(&self, account: &str, wait: Duration) {
        let Some(gate) = self.account(account) else { return };
        let mut pace = gate.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let until = now + wait;
        pace.closed_until = Some(pace.closed_until.map_or(until, |before| before.max(until)));
        if pace.last_refusal.is_some_and(|last| now - last < STORM) {
            pace.factor = (pace.factor_at(now) / 2.0).max(0.05);
            pace.factor_since = now;
        }
        pace.last_refusal = Some(now);
    }
}

impl Pace {
    /// A halved pace is whole again after a minute without refusals.
    fn factor_at(&self, now: Instant) -> f64 {
        let recovered = (now - self.factor_since).as_secs_f64() / STORM.as_secs_f64();
        (self.factor + recovered).min(1.0)
    }
}

impl Account {
    /// Waits for the next slot; a missed one is reserved anew.
    async fn next(&self) -> Result<Instant, Entry> {
        loop {
            let slot = self.reserve()?;
            tokio::time::sleep_until(slot).await;
            if self.is_fresh(slot) {
                return Ok(slot);
            }
        }
    }

    /// A service that lets two requests come at once bears a jitter of one
    /// interval; half of it is ours, the network has the other.
    fn is_fresh(&self, slot: Instant) -> bool {
        let half = Duration::from_secs_f64(0.5 / self.limits.rate);
        slot.elapsed() <= LATE.min(half) && !self.is_closed()
    }

    fn reserve(&self) -> Result<Instant, Entry> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let open = pace.closed_until.filter(|until| *until > now);
        let rate = self.limits.rate * SHARE * pace.factor_at(now);
        let slot = pace.next.max(now).max(open.unwrap_or(now));
        if slot - now > AHEAD {
            return Err(Entry::Later { wait: slot - now, closed: open.is_some() });
        }
        pace.next = slot + Duration::from_secs_f64(1.0 / rate);
        Ok(slot)
    }

    fn is_closed(&self) -> bool {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.closed_until.is_some_and(|until| until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn slots(gate: &Embedded, count: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..count {
            if let Entry::Now(_permit) = gate.enter("acme").await {
                times.push(start.elapsed());
            }
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn slots_keep_the_share_of_the_limit_and_begin_without_credit() {
        let gate = Embedded::default();
        gate.add("acme", Limits { rate: 2.0, concurrency: 4 });
        let times = slots(&gate, 20).await;
        assert!(times[0] >= Duration::from_millis(515), "{times:?}");
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            assert!(between >= Duration::from_millis(500), "{between:?}");
            assert!(between <= Duration::from_millis(530), "{between:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_enters_a_closed_gate_and_a_long_wait_is_put_off() {
        let gate = Embedded::default();
        gate.add("acme", Limits { rate: 2.0, concurrency: 4 });
        gate.close("acme", Duration::from_secs(3));
        let start = Instant::now();
        assert!(matches!(gate.enter("acme").await, Entry::Now(_)));
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
        gate.close("acme", Duration::from_secs(60));
        let later = gate.enter("acme").await;
        assert!(matches!(later, Entry::Later { closed: true, wait } if wait > AHEAD));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_refusal_within_a_minute_halves_the_pace() {
        let gate = Embedded::default();
        gate.add("acme", Limits { rate: 2.0, concurrency: 4 });
        gate.close("acme", Duration::from_secs(1));
        gate.close("acme", Duration::from_secs(1));
        let times = slots(&gate, 3).await;
        let between = times[2] - times[1];
        assert!(between >= Duration::from_millis(950), "{between:?}");
    }
}
