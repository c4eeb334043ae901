//! The rate limiters as one process uses them.

use super::{
    CONCURRENCY_SLOT_TTL, Error, LimiterState, MAX_RESERVE_AHEAD, PaceReport, RateLimiter,
    UpstreamLimits, UpstreamPermit, learned_pace::LearnedPace,
};
use crate::{
    clock::whole_millis,
    metrics,
    store::{self, Store, UpstreamControl, UpstreamCooldown},
};
use contract::api::{CooldownReason, UpstreamPause};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Interval at which each process reads what admins have set for upstreams.
pub const CONTROLS_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Why no permit was acquired.
#[derive(Debug)]
pub enum AcquireError {
    /// No request may be sent yet; defer the task.
    RetryAfter {
        /// Time until the next attempt makes sense.
        wait: Duration,
        /// Whether a cooldown causes the wait.
        in_cooldown: bool,
    },
    /// An admin has paused the upstream: defer the task.
    Paused {
        /// Time until the pause ends, if nobody ends it earlier.
        wait: Duration,
        /// The pause.
        pause: UpstreamPause,
    },
    /// The rate limiter can't be used, and without it nobody may call: defer the
    /// task and report the error.
    Limiter(Error),
}

impl From<Error> for AcquireError {
    fn from(error: Error) -> Self {
        Self::Limiter(error)
    }
}

pub(super) struct Upstream {
    limits: Mutex<UpstreamLimits>,
    /// What an admin has set.
    control: Mutex<UpstreamControl>,
    learned: Mutex<LearnedPace>,
    /// Number of requests of this process that have no answer yet.
    pub requests_in_flight: AtomicUsize,
    /// Queues the callers of this process, in order, for a concurrency slot.
    local_slots: Arc<Semaphore>,
    /// Lets one caller at a time reserve, so that a full limiter is polled by one.
    pub reserve_lock: tokio::sync::Mutex<()>,
    /// Slots that the limiter has granted, and no others: renewing one takes it.
    held_slots: Mutex<Vec<Uuid>>,
    /// Whether the limiter lost its state and the cooldown is yet to be restored.
    needs_restore: AtomicBool,
}

impl Upstream {
    /// Returns the configured limits, with the rate that an admin has set if it is lower.
    fn set_limits(&self) -> UpstreamLimits {
        let mut limits = self.limits.lock().clone();
        if let Some(rate) = self.control.lock().rate {
            limits.rate = limits.rate.min(rate);
        }
        limits
    }

    /// Returns the limits: those that were configured or set, or less if the upstream's answers
    /// say that it allows less.
    pub fn limits(&self) -> UpstreamLimits {
        let mut limits = self.set_limits();
        if let Some(learned) = self.learned.lock().rate() {
            limits.rate = limits.rate.min(learned);
        }
        limits
    }

    /// Learns from an answer. Returns the time for which nobody should call.
    pub fn learn(&self, report: PaceReport) -> Option<Duration> {
        let in_flight = self.requests_in_flight.load(Ordering::SeqCst);
        self.learned.lock().learn(report, in_flight)
    }

    fn replace_limits(&self, limits: UpstreamLimits) {
        let before = std::mem::replace(&mut *self.limits.lock(), limits.clone()).concurrency;
        match limits.concurrency.checked_sub(before) {
            Some(more) => self.local_slots.add_permits(more.into()),
            None => {
                // Slots in use are taken away when they are released.
                let (slots, fewer) = (Arc::clone(&self.local_slots), before - limits.concurrency);
                tokio::spawn(async move {
                    if let Ok(taken) = slots.acquire_many_owned(fewer.into()).await {
                        taken.forget();
                    }
                });
            }
        }
    }

    pub fn needs_restore(&self) -> bool {
        self.needs_restore.load(Ordering::SeqCst)
    }

    pub fn lock_held_slots(&self) -> MutexGuard<'_, Vec<Uuid>> {
        self.held_slots.lock()
    }
}

struct LimitersInner {
    limiter: Arc<dyn RateLimiter>,
    /// Persists cooldowns beyond the lifetime of the limiter's state.
    store: Option<Store>,
    upstreams: Mutex<HashMap<String, Arc<Upstream>>>,
    /// Orders the reads of what admins have set, so that an older one does not overwrite a newer.
    controls_lock: tokio::sync::Mutex<()>,
}

/// The rate limiters as one process uses them; cheap to clone.
#[derive(Clone)]
pub struct Limiters(Arc<LimitersInner>);

impl Limiters {
    /// Creates limiters without upstreams. `store` persists cooldowns in case
    /// `limiter` loses its state.
    pub fn new(limiter: Arc<dyn RateLimiter>, store: Option<Store>) -> Self {
        Self(Arc::new(LimitersInner {
            limiter,
            store,
            upstreams: Mutex::default(),
            controls_lock: tokio::sync::Mutex::default(),
        }))
    }

    /// Adds an upstream, or replaces its limits. Attempts that hold a slot keep it.
    pub fn add_upstream(&self, name: &str, limits: UpstreamLimits) {
        if let Some(upstream) = self.0.upstreams.lock().get(name) {
            return upstream.replace_limits(limits);
        }
        let local_slots = Arc::new(Semaphore::new(limits.concurrency.into()));
        let upstream = Upstream {
            limits: Mutex::new(limits),
            control: Mutex::default(),
            learned: Mutex::default(),
            requests_in_flight: AtomicUsize::default(),
            local_slots,
            reserve_lock: tokio::sync::Mutex::default(),
            held_slots: Mutex::default(),
            needs_restore: AtomicBool::default(),
        };
        let mut upstreams = self.0.upstreams.lock();
        upstreams.insert(name.into(), Arc::new(upstream));
    }

    fn upstream(&self, name: &str) -> Result<Arc<Upstream>, AcquireError> {
        let upstreams = self.0.upstreams.lock();
        let unknown =
            || Error::Misconfigured(format!("Register the upstream {name:?} with its limits."));
        upstreams.get(name).cloned().ok_or_else(|| unknown().into())
    }

    /// Waits for a concurrency slot and a rate permit. Call [`UpstreamPermit::confirm`]
    /// right before the request, which ensures that the permit is still valid.
    ///
    /// # Errors
    /// The upstream is in a long cooldown or its next permit is too far ahead; or
    /// the rate limiter can't be used.
    pub async fn acquire(&self, name: &str) -> Result<UpstreamPermit, AcquireError> {
        let start = Instant::now();
        let upstream = self.upstream(name)?;
        let Ok(local_slot) = Arc::clone(&upstream.local_slots).acquire_owned().await else {
            return Err(AcquireError::RetryAfter { wait: MAX_RESERVE_AHEAD, in_cooldown: false });
        };
        // Permits are at most this far ahead, and slots are awaited as long again.
        let deadline = Instant::now() + MAX_RESERVE_AHEAD * 2;
        self.wait_for_permit(name, upstream, local_slot, start, deadline).await
    }

    /// Acquires a permit like [`acquire`](Self::acquire), but waits no longer than until
    /// `deadline`: for a caller that holds the permit of another upstream meanwhile.
    ///
    /// # Errors
    /// The same as those of [`acquire`](Self::acquire), or no concurrency slot was free.
    pub async fn acquire_until(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<UpstreamPermit, AcquireError> {
        let start = Instant::now();
        let upstream = self.upstream(name)?;
        let local_slot = Arc::clone(&upstream.local_slots).acquire_owned();
        let Ok(Ok(local_slot)) = timeout_at(deadline, local_slot).await else {
            let wait = upstream.limits().permit_interval();
            let error = AcquireError::RetryAfter { wait, in_cooldown: false };
            metrics::record_acquire(name, start.elapsed(), Some(&error));
            return Err(error);
        };
        self.wait_for_permit(name, upstream, local_slot, start, deadline).await
    }

    async fn wait_for_permit(
        &self,
        name: &str,
        upstream: Arc<Upstream>,
        local_slot: OwnedSemaphorePermit,
        start: Instant,
        deadline: Instant,
    ) -> Result<UpstreamPermit, AcquireError> {
        let mut permit = UpstreamPermit::new(self.clone(), name.into(), upstream, local_slot);
        let acquired = match self.pause(name) {
            Some(pause) => Err(self.paused_error(pause)),
            None => permit.wait_for_next(deadline).await,
        };
        metrics::record_acquire(name, start.elapsed(), acquired.as_ref().err());
        acquired?;
        Ok(permit)
    }

    /// Starts a cooldown of `wait`, because the upstream refused a request for
    /// `reason`. The limiter learns of it first, because others
    /// call until then; afterwards it is persisted. Only a reason that
    /// [is throttling](CooldownReason::is_throttling) reduces the rate.
    pub async fn start_cooldown(&self, name: &str, wait: Duration, reason: CooldownReason) {
        self.start_cooldown_with_message(name, wait, reason, None).await;
    }

    /// Starts a cooldown like [`start_cooldown`](Self::start_cooldown), with a `message` for
    /// people whose items wait: what happened, and what to do.
    pub async fn start_cooldown_with_message(
        &self,
        name: &str,
        wait: Duration,
        reason: CooldownReason,
        message: Option<&str>,
    ) {
        metrics::record_cooldown(name);
        if let Err(error) = self.0.limiter.start_cooldown(name, wait, reason.is_throttling()).await
        {
            tracing::warn!(upstream = name, %error, "could not start a cooldown");
        }
        let Some(store) = &self.0.store else { return };
        let until = store.database.now_ms() + whole_millis(wait);
        if let Err(error) = store.coordination.record_cooldown(name, until, reason, message).await {
            tracing::warn!(upstream = name, %error, "could not persist a cooldown");
        }
    }

    /// Reads what admins have set for the upstreams, and applies it from now on.
    ///
    /// # Errors
    /// The store failed; what was set before stays.
    pub async fn load_controls(&self) -> Result<(), store::Error> {
        let Some(store) = &self.0.store else { return Ok(()) };
        let _guard = self.0.controls_lock.lock().await;
        let mut controls: HashMap<_, _> =
            store.upstream_controls.all().await?.into_iter().collect();
        for (name, upstream) in &*self.0.upstreams.lock() {
            *upstream.control.lock() = controls.remove(name).unwrap_or_default();
        }
        Ok(())
    }

    /// Applies what admins set, in whatever process, within [`CONTROLS_POLL_INTERVAL`], until
    /// `stop`.
    pub async fn follow_controls(&self, stop: CancellationToken) {
        let mut has_failed = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(CONTROLS_POLL_INTERVAL) => {}
            }
            let result = self.load_controls().await;
            if let (Err(error), false) = (&result, has_failed) {
                tracing::warn!(%error, "could not read what is set for upstreams");
            }
            has_failed = result.is_err();
        }
    }

    /// Returns the pause of an upstream that an admin has set and that is not over.
    pub fn pause(&self, name: &str) -> Option<UpstreamPause> {
        let upstream = self.0.upstreams.lock().get(name).cloned()?;
        let pause = upstream.control.lock().pause.clone()?;
        (pause.until > self.0.store.as_ref()?.database.now_ms()).then_some(pause)
    }

    /// Returns the configured limits of an upstream, and the lower rate that an admin has set.
    pub fn configured_limits(&self, name: &str) -> Option<(UpstreamLimits, Option<f64>)> {
        let upstream = self.0.upstreams.lock().get(name).cloned()?;
        let limits = upstream.limits.lock().clone();
        let rate = upstream.control.lock().rate.filter(|rate| *rate < limits.rate);
        Some((limits, rate))
    }

    pub(super) fn paused_error(&self, pause: UpstreamPause) -> AcquireError {
        let now = self.0.store.as_ref().map_or(0, |store| store.database.now_ms());
        let wait_ms = u64::try_from(pause.until.saturating_sub(now)).unwrap_or_default();
        AcquireError::Paused { wait: Duration::from_millis(wait_ms), pause }
    }

    /// Returns the upstreams of this process with their limits, sorted by name.
    pub fn upstream_limits(&self) -> Vec<(String, UpstreamLimits)> {
        let upstreams = self.0.upstreams.lock();
        let mut all: Vec<_> = upstreams
            .iter()
            .map(|(name, upstream)| (name.clone(), upstream.limits.lock().clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Returns the current state of an upstream's rate limiter.
    ///
    /// # Errors
    /// The upstream is unknown, or the rate limiter can't be used.
    pub async fn state(&self, name: &str) -> Result<LimiterState, AcquireError> {
        let upstream = self.upstream(name)?;
        Ok(self.0.limiter.state(name, &upstream.limits()).await?)
    }

    /// Returns why an upstream is in a cooldown; `None` if it is in none, or the reason is not
    /// known.
    pub async fn cooldown_reason(&self, name: &str) -> Option<CooldownReason> {
        self.persisted_cooldown(name).await.map(|cooldown| cooldown.reason)
    }

    /// Returns what people whose items wait should know about the cooldown of an upstream.
    pub async fn cooldown_message(&self, name: &str) -> Option<String> {
        self.persisted_cooldown(name).await?.message
    }

    async fn persisted_cooldown(&self, name: &str) -> Option<UpstreamCooldown> {
        let store = self.0.store.as_ref()?;
        let cooldown = store.coordination.last_cooldown(name).await.ok()??;
        (cooldown.until > store.database.now_ms()).then_some(cooldown)
    }

    /// Renews the concurrency slots of this process until `stop`.
    pub async fn renew_slots_until_stopped(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(CONCURRENCY_SLOT_TTL / 4) => {}
            }
            let upstreams: Vec<_> = {
                let upstreams = self.0.upstreams.lock();
                upstreams
                    .iter()
                    .map(|(name, upstream)| (name.clone(), Arc::clone(upstream)))
                    .collect()
            };
            for (name, upstream) in upstreams {
                if let Err(error) = self.renew_held_slots(&name, &upstream).await {
                    tracing::warn!(upstream = name, %error, "could not renew concurrency slots");
                }
            }
        }
    }

    async fn renew_held_slots(&self, name: &str, upstream: &Upstream) -> Result<(), Error> {
        let renewed = upstream.lock_held_slots().clone();
        if renewed.is_empty() {
            return Ok(());
        }
        self.0.limiter.renew(name, &renewed).await?;
        // The renewal may have taken a slot again that was released meanwhile.
        let released = {
            let held_slots = upstream.lock_held_slots();
            renewed.into_iter().filter(|slot| !held_slots.contains(slot)).collect::<Vec<_>>()
        };
        for slot in released {
            self.0.limiter.release(name, slot).await?;
        }
        Ok(())
    }

    pub(super) fn limiter(&self) -> &dyn RateLimiter {
        &*self.0.limiter
    }

    /// Restores the persisted cooldown after the limiter lost its state.
    pub(super) async fn restore_cooldown(
        &self,
        name: &str,
        upstream: &Upstream,
    ) -> Result<(), Error> {
        // The limiter reports the loss once: if this fails, the next caller retries.
        upstream.needs_restore.store(true, Ordering::SeqCst);
        if let Some(store) = &self.0.store {
            let cooldown = store
                .coordination
                .last_cooldown(name)
                .await
                .map_err(|error| Error::Unreachable(error.to_string()))?;
            let remaining_ms =
                cooldown.map_or(0, |cooldown| cooldown.until) - store.database.now_ms();
            if let Ok(remaining_ms @ 1..) = u64::try_from(remaining_ms) {
                let wait = Duration::from_millis(remaining_ms);
                self.0.limiter.start_cooldown(name, wait, false).await?;
            }
        }
        upstream.needs_restore.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::embedded::EmbeddedLimiter, *};
    use crate::limiter::Reservation;
    use async_trait::async_trait;

    fn limiters() -> Limiters {
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream("acme", UpstreamLimits { rate: 2.0, concurrency: 4 });
        limiters
    }

    async fn permit_times(limiters: &Limiters, count: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..count {
            if limiters.acquire("acme").await.is_ok() {
                times.push(start.elapsed());
            }
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_spaced_at_the_safe_rate_and_start_without_burst_credit() {
        let times = permit_times(&limiters(), 20).await;
        assert!(times[0] >= Duration::from_millis(515), "{times:?}");
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            assert!(between >= Duration::from_millis(500), "{between:?}");
            assert!(between <= Duration::from_millis(530), "{between:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_waits_out_a_short_cooldown_and_returns_retry_after_for_a_long_one() {
        let limiters = limiters();
        limiters
            .start_cooldown("acme", Duration::from_secs(3), CooldownReason::TooManyRequests)
            .await;
        let start = Instant::now();
        assert!(limiters.acquire("acme").await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
        limiters
            .start_cooldown("acme", Duration::from_secs(60), CooldownReason::TooManyRequests)
            .await;
        let later = limiters.acquire("acme").await.err();
        assert!(
            matches!(later, Some(AcquireError::RetryAfter { in_cooldown: true, wait }) if wait > MAX_RESERVE_AHEAD)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_until_waits_for_a_concurrency_slot_no_longer_than_the_deadline() {
        let limiters = limiters();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(limiters.acquire("acme").await.map_err(|_| "refused"));
        }
        let start = Instant::now();
        let wait = Duration::from_secs(3);
        let refused = limiters.acquire_until("acme", start + wait).await.err();
        assert!(matches!(refused, Some(AcquireError::RetryAfter { in_cooldown: false, .. })));
        assert_eq!(start.elapsed(), wait);
        permits.pop();
        assert!(limiters.acquire_until("acme", Instant::now() + wait).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn only_throttling_reduces_the_rate() {
        for (reason, reduced) in [
            (CooldownReason::CredentialsRefused, false),
            (CooldownReason::CertificateRefused, false),
            (CooldownReason::Throttled, true),
        ] {
            let limiters = limiters();
            for _ in 0..5 {
                limiters.start_cooldown("acme", Duration::from_secs(1), reason).await;
                sleep(Duration::from_secs(2)).await;
            }
            let Ok(state) = limiters.state("acme").await else { panic!("no state") };
            assert_eq!(state.current_rate < 1.5, reduced, "{reason:?}: {state:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn replaced_limits_hold_at_once_and_take_no_slot_from_an_attempt() {
        let limiters = limiters();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(limiters.acquire("acme").await.map_err(|_| "refused"));
        }
        limiters.add_upstream("acme", UpstreamLimits { rate: 20.0, concurrency: 2 });
        let acquire = || tokio::time::timeout(Duration::from_secs(5), limiters.acquire("acme"));
        permits.truncate(2);
        assert!(acquire().await.is_err(), "two attempts hold all slots");
        permits.pop();
        let start = Instant::now();
        assert!(acquire().await.is_ok_and(|acquired| acquired.is_ok()));
        assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
        limiters.add_upstream("acme", UpstreamLimits { rate: 20.0, concurrency: 3 });
        for _ in 0..2 {
            permits
                .push(acquire().await.map_or(Err("full"), |permit| permit.map_err(|_| "refused")));
        }
        assert!(permits.iter().all(Result::is_ok));
        assert!(acquire().await.is_err(), "a fourth attempt was admitted");
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_a_permit_releases_its_concurrency_slot() {
        let limiters = limiters();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(limiters.acquire("acme").await.map_err(|_| "refused"));
        }
        let state = limiters.state("acme").await;
        assert!(matches!(state, Ok(LimiterState { in_flight: 4, .. })), "{state:?}");
        let full = tokio::time::timeout(Duration::from_secs(5), limiters.acquire("acme")).await;
        assert!(full.is_err(), "a fifth call was admitted");
        permits.pop();
        assert!(limiters.acquire("acme").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn slot_renewal_does_not_exceed_the_concurrency_limit() {
        let limiter = Arc::new(EmbeddedLimiter::default());
        let end = Instant::now() + Duration::from_secs(300);
        let (in_flight, max_in_flight, calls) =
            (AtomicUsize::default(), AtomicUsize::default(), AtomicUsize::default());
        let work = async |limiters: &Limiters| {
            while Instant::now() < end {
                let Ok(_permit) = limiters.acquire("acme").await else { continue };
                let calls_now = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
                max_in_flight.fetch_max(calls_now, Ordering::SeqCst);
                calls.fetch_add(1, Ordering::SeqCst);
                // Long enough for callers that wait to see a renewal.
                sleep(CONCURRENCY_SLOT_TTL).await;
                in_flight.fetch_sub(1, Ordering::SeqCst);
            }
        };
        let stop = CancellationToken::new();
        let [ours, theirs] = [1, 2].map(|_| {
            let limiters = Limiters::new(limiter.clone(), None);
            limiters.add_upstream("acme", UpstreamLimits { rate: 2.0, concurrency: 2 });
            let (renewing, stop) = (limiters.clone(), stop.clone());
            tokio::spawn(async move { renewing.renew_slots_until_stopped(stop).await });
            limiters
        });
        tokio::join!(work(&ours), work(&ours), work(&theirs), work(&theirs));
        stop.cancel();
        assert_eq!(max_in_flight.into_inner(), 2, "calls at once");
        assert!(calls.into_inner() >= 20, "callers made no progress");
    }

    /// A limiter that renews slots one second late.
    #[derive(Default)]
    struct SlowRenewal(EmbeddedLimiter);

    #[async_trait]
    impl RateLimiter for SlowRenewal {
        async fn reserve(
            &self,
            name: &str,
            limits: &UpstreamLimits,
            slot: Uuid,
            max_ahead: Duration,
        ) -> Result<Reservation, Error> {
            self.0.reserve(name, limits, slot, max_ahead).await
        }

        async fn confirm(&self, name: &str, generation: &str) -> Result<bool, Error> {
            self.0.confirm(name, generation).await
        }

        async fn renew(&self, name: &str, slots: &[Uuid]) -> Result<(), Error> {
            sleep(Duration::from_secs(1)).await;
            self.0.renew(name, slots).await
        }

        async fn release(&self, name: &str, slot: Uuid) -> Result<(), Error> {
            self.0.release(name, slot).await
        }

        async fn start_cooldown(
            &self,
            name: &str,
            wait: Duration,
            is_new_refusal: bool,
        ) -> Result<(), Error> {
            self.0.start_cooldown(name, wait, is_new_refusal).await
        }

        async fn state(&self, name: &str, limits: &UpstreamLimits) -> Result<LimiterState, Error> {
            self.0.state(name, limits).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_released_during_renewal_stays_released() {
        let limiters = Limiters::new(Arc::new(SlowRenewal::default()), None);
        limiters.add_upstream("acme", UpstreamLimits { rate: 2.0, concurrency: 4 });
        let stop = CancellationToken::new();
        let (renewing, end) = (limiters.clone(), stop.clone());
        let renewal = tokio::spawn(async move { renewing.renew_slots_until_stopped(end).await });
        let Ok(permit) = limiters.acquire("acme").await else { panic!("refused") };
        sleep(CONCURRENCY_SLOT_TTL / 4).await;
        drop(permit);
        sleep(Duration::from_secs(2)).await;
        let state = limiters.state("acme").await;
        assert!(matches!(state, Ok(LimiterState { in_flight: 0, .. })), "{state:?}");
        stop.cancel();
        assert!(renewal.await.is_ok());
    }
}
