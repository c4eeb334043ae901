//! The gates as one process uses them.

use super::{AHEAD, Condition, Error, Gate, Limits, PLACE_LIFE, Permit};
use crate::{measure, store::Store};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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

pub(super) struct Account {
    pub limits: Limits,
    /// Whoever waits for a place of this process waits in order.
    places: Arc<Semaphore>,
    /// One at a time asks for a slot, so that a full gate is asked by one.
    pub asking: tokio::sync::Mutex<()>,
    /// Places that the gate has given, and no others: what is kept counts.
    held: Mutex<Vec<Uuid>>,
    /// The gate began anew, and could not be reminded yet.
    forgot: AtomicBool,
}

impl Account {
    pub fn forgot(&self) -> bool {
        self.forgot.load(Ordering::SeqCst)
    }

    pub fn held(&self) -> MutexGuard<'_, Vec<Uuid>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            forgot: AtomicBool::default(),
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
        let mut permit = Permit::new(self.clone(), name.into(), account, local);
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
                if let Err(error) = self.keep_held(&name, &account).await {
                    tracing::warn!(account = name, %error, "could not keep places");
                }
            }
        }
    }

    async fn keep_held(&self, name: &str, account: &Account) -> Result<(), Error> {
        let kept = account.held().clone();
        if kept.is_empty() {
            return Ok(());
        }
        self.0.gate.keep(name, &kept).await?;
        // What was let go of meanwhile may have been taken back by this.
        let gone = {
            let held = account.held();
            kept.into_iter().filter(|place| !held.contains(place)).collect::<Vec<_>>()
        };
        for place in gone {
            self.0.gate.release(name, place).await?;
        }
        Ok(())
    }

    pub(super) fn gate(&self) -> &dyn Gate {
        &*self.0.gate
    }

    /// Tells a gate that begins anew what outlived it.
    pub(super) async fn remind(&self, name: &str, account: &Account) -> Result<(), Error> {
        // It says so once: where this fails, whoever comes next has to do it.
        account.forgot.store(true, Ordering::SeqCst);
        if let Some(store) = &self.0.store {
            let closing =
                store.closing(name).await.map_err(|error| Error::Unreachable(error.to_string()))?;
            let left = closing.map_or(0, |closing| closing.until) - store.now_ms();
            if let Ok(left @ 1..) = u64::try_from(left) {
                self.0.gate.close(name, Duration::from_millis(left), false).await?;
            }
        }
        account.forgot.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::embedded::Embedded, *};
    use crate::gate::Reserved;
    use async_trait::async_trait;
    use std::sync::atomic::AtomicUsize;

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

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_place_are_not_let_in_by_keeping_it() {
        let gate = Arc::new(Embedded::default());
        let end = Instant::now() + Duration::from_secs(300);
        let (now, most, calls) =
            (AtomicUsize::default(), AtomicUsize::default(), AtomicUsize::default());
        let work = async |gates: &Gates| {
            while Instant::now() < end {
                let Ok(_permit) = gates.enter("acme").await else { continue };
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                calls.fetch_add(1, Ordering::SeqCst);
                // So long that those who wait see a round of keeping.
                sleep(PLACE_LIFE).await;
                now.fetch_sub(1, Ordering::SeqCst);
            }
        };
        let stop = CancellationToken::new();
        let [ours, theirs] = [1, 2].map(|_| {
            let gates = Gates::new(gate.clone(), None);
            gates.add("acme", Limits { rate: 2.0, concurrency: 2 });
            let (kept, stop) = (gates.clone(), stop.clone());
            tokio::spawn(async move { kept.keep(stop).await });
            gates
        });
        tokio::join!(work(&ours), work(&ours), work(&theirs), work(&theirs));
        stop.cancel();
        assert_eq!(most.into_inner(), 2, "calls at once");
        assert!(calls.into_inner() >= 20, "they waited for nothing");
    }

    /// Keeps places a second after it was asked to.
    #[derive(Default)]
    struct Slow(Embedded);

    #[async_trait]
    impl Gate for Slow {
        async fn reserve(&self, name: &str, limits: &Limits, at: Uuid) -> Result<Reserved, Error> {
            self.0.reserve(name, limits, at).await
        }

        async fn confirm(&self, name: &str, generation: &str) -> Result<bool, Error> {
            self.0.confirm(name, generation).await
        }

        async fn keep(&self, name: &str, places: &[Uuid]) -> Result<(), Error> {
            sleep(Duration::from_secs(1)).await;
            self.0.keep(name, places).await
        }

        async fn release(&self, name: &str, place: Uuid) -> Result<(), Error> {
            self.0.release(name, place).await
        }

        async fn close(&self, name: &str, wait: Duration, refused: bool) -> Result<(), Error> {
            self.0.close(name, wait, refused).await
        }

        async fn condition(&self, name: &str, limits: &Limits) -> Result<Condition, Error> {
            self.0.condition(name, limits).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_let_go_of_while_it_is_kept_stays_free() {
        let gates = Gates::new(Arc::new(Slow::default()), None);
        gates.add("acme", Limits { rate: 2.0, concurrency: 4 });
        let stop = CancellationToken::new();
        let (kept, end) = (gates.clone(), stop.clone());
        let keeper = tokio::spawn(async move { kept.keep(end).await });
        let Ok(permit) = gates.enter("acme").await else { panic!("refused") };
        sleep(PLACE_LIFE / 4).await;
        drop(permit);
        sleep(Duration::from_secs(2)).await;
        let condition = gates.condition("acme").await;
        assert!(matches!(condition, Ok(Condition { in_flight: 0, .. })), "{condition:?}");
        stop.cancel();
        assert!(keeper.await.is_ok());
    }
}
