//! Leave to call: a place and a slot, waited for.

use super::{AHEAD, Condition, Error, Gate, Limits, PLACE_LIFE, Reserved};
use crate::{measure, store::Store};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A slot that is missed by more than this, or by half an interval, is given up.
const LATE: Duration = Duration::from_millis(50);
/// Between two looks for a place that another process frees.
const FULL: Duration = Duration::from_millis(100);

/// Why nobody may call now.
#[derive(Debug)]
pub enum Refused {
    /// Not before this long: put the task off. `closed`: by the service.
    Later { wait: Duration, closed: bool },
    /// Without the gates there is no pace: put the task off, and say so.
    Unreachable(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Unreachable(error)
    }
}

struct Account {
    limits: Limits,
    /// Whoever waits for a place of this process waits in order.
    places: Arc<Semaphore>,
    /// One at a time asks for a slot, so that a full gate is asked by one.
    asking: tokio::sync::Mutex<()>,
    held: Mutex<Vec<Uuid>>,
}

struct Shared {
    gate: Arc<dyn Gate>,
    /// Where closings outlive the gate.
    store: Option<Store>,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

/// The gates as one process uses them; cheap to clone.
#[derive(Clone)]
pub struct Gates(Arc<Shared>);

impl Gates {
    /// `store` remembers until when accounts are closed, beyond the gate's
    /// own memory.
    pub fn new(gate: Arc<dyn Gate>, store: Option<Store>) -> Self {
        Self(Arc::new(Shared { gate, store, accounts: Mutex::default() }))
    }

    /// Makes an account known, or gives it other limits.
    pub fn add(&self, account: &str, limits: Limits) {
        let places = Arc::new(Semaphore::new(limits.concurrency.into()));
        let made = Account {
            limits,
            places,
            asking: tokio::sync::Mutex::default(),
            held: Mutex::default(),
        };
        let mut accounts = self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(account.into(), Arc::new(made));
    }

    fn account(&self, name: &str) -> Result<Arc<Account>, Refused> {
        let accounts = self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || Error::Unreachable(format!("nothing is known of the account {name:?}"));
        accounts.get(name).cloned().ok_or_else(|| unknown().into())
    }

    /// Waits for a place and a slot. Right before the call,
    /// [`Permit::fresh`] tells whether the slot may still be used.
    ///
    /// # Errors
    /// The account is closed or its slots are too far ahead; or the gates
    /// can't be reached.
    pub async fn enter(&self, name: &str) -> Result<Permit, Refused> {
        let start = Instant::now();
        let account = self.account(name)?;
        let Ok(local) = Arc::clone(&account.places).acquire_owned().await else {
            return Err(Refused::Later { wait: AHEAD, closed: false });
        };
        let mut permit = Permit {
            gates: self.clone(),
            name: name.into(),
            place: Uuid::now_v7(),
            account,
            placed: false,
            slot: Instant::now(),
            generation: String::new(),
            _local: local,
        };
        permit.hold();
        // Slots are at most so far ahead, and places are waited for as long.
        let entered = permit.next(Instant::now() + AHEAD * 2).await;
        measure::entered(name, start.elapsed(), entered.as_ref().err());
        entered?;
        Ok(permit)
    }

    /// The service answered `by`, and said: not before `wait`. Told to the gate first, for every
    /// moment lets others call; then kept where it outlives the gate.
    pub async fn close(&self, name: &str, wait: Duration, by: &str) {
        measure::closed(name);
        if let Err(error) = self.0.gate.close(name, wait, true).await {
            tracing::warn!(account = name, %error, "could not close a gate");
        }
        let Some(store) = &self.0.store else { return };
        let until = store.now_ms() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
        if let Err(error) = store.close_account(name, until, by).await {
            tracing::warn!(account = name, %error, "a closing was not kept");
        }
    }

    /// Every account that this process knows, by name, with its limits.
    pub fn limits(&self) -> Vec<(String, Limits)> {
        let accounts = self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            accounts.iter().map(|(name, account)| (name.clone(), account.limits.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// How the gate of an account stands.
    ///
    /// # Errors
    /// The gates can't be reached.
    pub async fn condition(&self, name: &str) -> Result<Condition, Refused> {
        let account = self.account(name)?;
        Ok(self.0.gate.condition(name, &account.limits).await?)
    }

    /// Keeps the places of this process until `stop`.
    pub async fn keep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(PLACE_LIFE / 4) => {}
            }
            let accounts: Vec<_> = {
                let accounts = self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner);
                accounts.iter().map(|(name, own)| (name.clone(), Arc::clone(own))).collect()
            };
            for (name, account) in accounts {
                let held = account.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if held.is_empty() {
                    continue;
                }
                if let Err(error) = self.0.gate.keep(&name, &held).await {
                    tracing::warn!(account = name, %error, "could not keep places");
                }
            }
        }
    }

    /// Tells a gate that begins anew what outlived it.
    async fn remind(&self, name: &str) -> Result<(), Error> {
        let Some(store) = &self.0.store else { return Ok(()) };
        let closing =
            store.closing(name).await.map_err(|error| Error::Unreachable(error.to_string()))?;
        let left = closing.map_or(0, |closing| closing.until) - store.now_ms();
        match u64::try_from(left) {
            Ok(left) if left > 0 => {
                self.0.gate.close(name, Duration::from_millis(left), false).await
            }
            _ => Ok(()),
        }
    }
}

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
    /// Makes sure, right before a call, that the slot may still be used: a
    /// claim may have taken its time, the account may have closed. One that
    /// may not is given up for the next, unless that comes after `latest`.
    ///
    /// # Errors
    /// As [`Gates::enter`].
    pub async fn fresh(&mut self, latest: Instant) -> Result<(), Refused> {
        while !(self.is_in_time()
            && self.gates.0.gate.confirm(&self.name, &self.generation).await?
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
    async fn next(&mut self, latest: Instant) -> Result<(), Refused> {
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
            let reserved =
                self.gates.0.gate.reserve(&self.name, &account.limits, self.place).await?;
            match reserved {
                Reserved::Slot(slot) => {
                    self.placed = true;
                    self.slot = Instant::now() + slot.wait;
                    self.generation = slot.generation;
                    if self.slot > latest {
                        return Err(Refused::Later { wait: slot.wait, closed: false });
                    }
                    return Ok(());
                }
                Reserved::Later { wait, closed } => return Err(Refused::Later { wait, closed }),
                Reserved::Anew => self.gates.remind(&self.name).await?,
                Reserved::Full if Instant::now() < patience.min(latest) => {
                    sleep(FULL.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                Reserved::Full => {
                    return Err(Refused::Later { wait: Duration::from_secs(1), closed: false });
                }
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Uuid>> {
        self.account.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self) {
        self.held().push(self.place);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let place = self.place;
        self.held().retain(|held| *held != place);
        let (gates, name) = (self.gates.clone(), std::mem::take(&mut self.name));
        // Outside of a runtime the place's life ends by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = gates.0.gate.release(&name, place).await {
                tracing::debug!(account = name, %error, "a place is freed by its age");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::embedded::Embedded, *};

    fn gates() -> Gates {
        let gates = Gates::new(Arc::new(Embedded::default()), None);
        gates.add("acme", Limits { rate: 2.0, concurrency: 4 });
        gates
    }

    async fn slots(gates: &Gates, count: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..count {
            if gates.enter("acme").await.is_ok() {
                times.push(start.elapsed());
            }
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn slots_keep_the_share_of_the_limit_and_begin_without_credit() {
        let times = slots(&gates(), 20).await;
        assert!(times[0] >= Duration::from_millis(515), "{times:?}");
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            assert!(between >= Duration::from_millis(500), "{between:?}");
            assert!(between <= Duration::from_millis(530), "{between:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_enters_a_closed_gate_and_a_long_wait_is_put_off() {
        let gates = gates();
        gates.close("acme", Duration::from_secs(3), "http_429").await;
        let start = Instant::now();
        assert!(gates.enter("acme").await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
        gates.close("acme", Duration::from_secs(60), "http_429").await;
        let later = gates.enter("acme").await.err();
        assert!(matches!(later, Some(Refused::Later { closed: true, wait }) if wait > AHEAD));
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

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_its_permit_is_dropped() {
        let gates = gates();
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(gates.enter("acme").await.map_err(|_| "refused"));
        }
        let condition = gates.condition("acme").await;
        assert!(matches!(condition, Ok(Condition { in_flight: 4, .. })), "{condition:?}");
        let full = tokio::time::timeout(Duration::from_secs(5), gates.enter("acme")).await;
        assert!(full.is_err(), "a fifth call was let in");
        held.pop();
        assert!(gates.enter("acme").await.is_ok());
    }
}
