//! Leave to call: a place and a slot, waited for.

use super::{AHEAD, Gates, Refused, Reserved, gates::Account};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

/// A slot that is missed by more than this, or by half an interval, is given up.
const LATE: Duration = Duration::from_millis(50);
/// Between two looks for a place that another process frees.
const FULL: Duration = Duration::from_millis(100);

/// Leave to make one request now. Holds one of the account's places until it
/// is dropped.
pub struct Permit {
    gates: Gates,
    name: String,
    place: Uuid,
    account: Arc<Account>,
    /// The gate has given the place.
    placed: bool,
    slot: Instant,
    generation: String,
    _local: OwnedSemaphorePermit,
}

impl Permit {
    /// One that has neither a place nor a slot yet.
    pub(super) fn new(
        gates: Gates,
        name: String,
        account: Arc<Account>,
        local: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            gates,
            name,
            place: Uuid::now_v7(),
            account,
            placed: false,
            slot: Instant::now(),
            generation: String::new(),
            _local: local,
        }
    }

    /// Makes sure, right before a call, that the slot may still be used: a
    /// claim may have taken its time, the account may have closed. One that
    /// may not is given up for the next, unless that comes after `latest`.
    ///
    /// # Errors
    /// As [`Gates::enter`].
    pub async fn fresh(&mut self, latest: Instant) -> Result<(), Refused> {
        while !(self.is_in_time()
            && self.gates.gate().confirm(&self.name, &self.generation).await?
            && self.is_in_time())
        {
            self.next(latest).await?;
        }
        match Instant::now() > latest {
            // The gate took its time to answer.
            true => Err(Refused::Later { wait: self.account.limits.interval(), closed: false }),
            false => Ok(()),
        }
    }

    /// A slot for a further request, as good as the first.
    ///
    /// # Errors
    /// As [`Permit::fresh`].
    pub async fn again(&mut self, latest: Instant) -> Result<(), Refused> {
        self.next(latest).await?;
        self.fresh(latest).await
    }

    /// Waits for the next slot; a missed one is reserved anew. While it is
    /// waited for the account may close.
    pub(super) async fn next(&mut self, latest: Instant) -> Result<(), Refused> {
        loop {
            self.reserve(latest).await?;
            sleep_until(self.slot).await;
            if self.is_in_time() {
                return Ok(());
            }
        }
    }

    /// A service that lets two requests come at once bears a jitter of one
    /// interval; half of it is ours, the network has the other.
    fn is_in_time(&self) -> bool {
        let half = Duration::from_secs_f64(0.5 / self.account.limits.rate);
        self.slot.elapsed() <= LATE.min(half)
    }

    async fn reserve(&mut self, latest: Instant) -> Result<(), Refused> {
        let account = Arc::clone(&self.account);
        // Whoever has a place is not told that all are taken, and must not
        // wait behind those who are.
        let _asking = if self.placed { None } else { Some(account.asking.lock().await) };
        let patience = Instant::now() + AHEAD;
        loop {
            if account.forgot() {
                self.gates.remind(&self.name, &account).await?;
            }
            let reserved =
                self.gates.gate().reserve(&self.name, &account.limits, self.place).await?;
            match reserved {
                Reserved::Slot(slot) => {
                    self.hold();
                    self.slot = Instant::now() + slot.wait;
                    self.generation = slot.generation;
                    if self.slot > latest {
                        return Err(Refused::Later { wait: slot.wait, closed: false });
                    }
                    return Ok(());
                }
                Reserved::Later { wait, closed } => return Err(Refused::Later { wait, closed }),
                Reserved::Anew => self.gates.remind(&self.name, &account).await?,
                Reserved::Full if Instant::now() < patience.min(latest) => {
                    sleep(FULL.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                Reserved::Full => {
                    return Err(Refused::Later { wait: Duration::from_secs(1), closed: false });
                }
            }
        }
    }

    /// From now on the place is kept. Not before: what is kept counts as taken,
    /// and whoever has a place is not asked whether there is room.
    fn hold(&mut self) {
        if !std::mem::replace(&mut self.placed, true) {
            self.account.held().push(self.place);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let place = self.place;
        self.account.held().retain(|held| *held != place);
        let (gates, name) = (self.gates.clone(), std::mem::take(&mut self.name));
        // Outside of a runtime the place's life ends by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = gates.gate().release(&name, place).await {
                tracing::debug!(account = name, %error, "a place is freed by its age");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Limits, embedded::Embedded};

    fn gates() -> Gates {
        let gates = Gates::new(Arc::new(Embedded::default()), None);
        gates.add("acme", Limits { rate: 2.0, concurrency: 4 });
        gates
    }

    /// Later than anything here.
    fn some_time() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_given_up_where_the_account_closed_after_it_came() {
        let gates = gates();
        let Ok(mut permit) = gates.enter("acme").await else { panic!("refused") };
        assert!(permit.fresh(some_time()).await.is_ok());
        gates.close("acme", Duration::from_secs(3), "http_429").await;
        let start = Instant::now();
        assert!(permit.fresh(some_time()).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_further_slot_is_given_up_where_the_account_closed_while_it_was_waited_for() {
        let gates = gates();
        let Ok(mut permit) = gates.enter("acme").await else { panic!("refused") };
        let start = Instant::now();
        let close = async {
            sleep(Duration::from_millis(100)).await;
            gates.close("acme", Duration::from_secs(3), "http_429").await;
        };
        let (again, ()) = tokio::join!(permit.again(some_time()), close);
        assert!(again.is_ok());
        assert!(start.elapsed() >= Duration::from_millis(3_100), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_comes_too_late_is_not_waited_for() {
        let gates = gates();
        let Ok(mut permit) = gates.enter("acme").await else { panic!("refused") };
        gates.close("acme", Duration::from_secs(8), "http_429").await;
        let start = Instant::now();
        for further in [false, true] {
            let latest = start + Duration::from_secs(2);
            let refused =
                if further { permit.again(latest).await } else { permit.fresh(latest).await };
            let far = |wait: &Duration| *wait >= Duration::from_secs(8);
            assert!(
                matches!(&refused, Err(Refused::Later { wait, .. }) if far(wait)),
                "{refused:?}"
            );
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_a_place_does_not_wait_behind_those_who_have_none() {
        let gate = Arc::new(Embedded::default());
        let [ours, theirs] = [1, 2].map(|_| {
            let gates = Gates::new(gate.clone(), None);
            gates.add("acme", Limits { rate: 2.0, concurrency: 2 });
            gates
        });
        let Ok(mut permit) = ours.enter("acme").await else { panic!("refused") };
        let Ok(_other) = theirs.enter("acme").await else { panic!("refused") };
        // All places are taken, though this process has one to give.
        let waits = ours.enter("acme");
        let start = Instant::now();
        let again = async {
            sleep(Duration::from_millis(10)).await;
            assert!(permit.again(some_time()).await.is_ok());
            start.elapsed()
        };
        let (entered, took) = tokio::join!(waits, again);
        assert!(entered.is_err(), "a third call was let in");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
