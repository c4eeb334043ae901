//! The gates of a single process.

use super::{AHEAD, Condition, Error, Gate, LEAST, Limits, Reserved, STORM, Slot};
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

#[derive(Default)]
pub struct Embedded {
    accounts: Mutex<HashMap<String, Account>>,
}

struct Account {
    /// Whether anyone has reserved; a closing alone leaves it unknown.
    known: bool,
    /// The first slot that nobody has.
    next: Instant,
    closed_until: Option<Instant>,
    last_refusal: Option<Instant>,
    /// 1 is the full share; halved by storms, and it recovers.
    factor: f64,
    factor_since: Instant,
    places: HashSet<Uuid>,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self {
            known: false,
            next: now,
            closed_until: None,
            last_refusal: None,
            factor: 1.0,
            factor_since: now,
            places: HashSet::new(),
        }
    }

    fn factor_at(&self, now: Instant) -> f64 {
        let recovered = (now - self.factor_since).as_secs_f64() / STORM.as_secs_f64();
        (self.factor + recovered).min(1.0)
    }

    fn closed_for(&self, now: Instant) -> Option<Duration> {
        self.closed_until.filter(|until| *until > now).map(|until| until - now)
    }
}

impl Embedded {
    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Gate for Embedded {
    async fn reserve(
        &self,
        account: &str,
        limits: &Limits,
        place: Uuid,
    ) -> Result<Reserved, Error> {
        let mut accounts = self.accounts();
        let now = Instant::now();
        let own = accounts.entry(account.into()).or_insert_with(|| Account::new(now));
        if !std::mem::replace(&mut own.known, true) {
            // No credit from before: the first slot comes after a full interval.
            own.next = now + limits.interval();
            return Ok(Reserved::Anew);
        }
        if !own.places.contains(&place) && own.places.len() >= limits.concurrency.into() {
            return Ok(Reserved::Full);
        }
        let closed = own.closed_for(now);
        let slot = own.next.max(now + closed.unwrap_or_default());
        let wait = slot - now;
        if wait > AHEAD {
            return Ok(Reserved::Later { wait, closed: closed.is_some() });
        }
        own.next = slot + limits.interval().div_f64(own.factor_at(now));
        own.places.insert(place);
        Ok(Reserved::Slot(Slot { wait, generation: String::new() }))
    }

    async fn confirm(&self, account: &str, _generation: &str) -> Result<bool, Error> {
        let now = Instant::now();
        Ok(self.accounts().get(account).is_some_and(|own| own.closed_for(now).is_none()))
    }

    async fn keep(&self, account: &str, places: &[Uuid]) -> Result<(), Error> {
        // None is too old here: whoever holds one lives as long as this does.
        if let Some(own) = self.accounts().get_mut(account) {
            own.places.extend(places);
        }
        Ok(())
    }

    async fn release(&self, account: &str, place: Uuid) -> Result<(), Error> {
        if let Some(own) = self.accounts().get_mut(account) {
            own.places.remove(&place);
        }
        Ok(())
    }

    async fn close(&self, account: &str, wait: Duration, refused: bool) -> Result<(), Error> {
        let mut accounts = self.accounts();
        let now = Instant::now();
        let own = accounts.entry(account.into()).or_insert_with(|| Account::new(now));
        let until = now + wait;
        own.closed_until = Some(own.closed_until.map_or(until, |before| before.max(until)));
        if refused {
            if own.last_refusal.is_some_and(|last| now - last < STORM) {
                own.factor = (own.factor_at(now) / 2.0).max(LEAST);
                own.factor_since = now;
            }
            own.last_refusal = Some(now);
        }
        Ok(())
    }

    async fn condition(&self, account: &str, limits: &Limits) -> Result<Condition, Error> {
        let accounts = self.accounts();
        let now = Instant::now();
        let full = limits.rate * super::SHARE;
        Ok(match accounts.get(account) {
            None => Condition { pace: full, closed_for: None, in_flight: 0 },
            Some(own) => Condition {
                pace: full * own.factor_at(now),
                closed_for: own.closed_for(now),
                in_flight: u32::try_from(own.places.len()).unwrap_or(u32::MAX),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test(start_paused = true)]
    async fn keeps_the_suite() {
        super::super::suite::run(&super::Embedded::default()).await;
    }
}
