//! A permit to call an upstream: a concurrency slot and a rate permit.

use super::{
    AcquireError, Limiters, MAX_FIRST_RESERVE_AHEAD, MAX_RESERVE_AHEAD, PaceReport, Reservation,
    limiters::Upstream,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

/// Maximum lateness at which a rate permit is still used; half of the interval
/// between requests if that is shorter.
const MAX_LATENESS: Duration = Duration::from_millis(50);
/// Mean interval at which a full limiter is polled for a concurrency slot.
const SLOT_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What an attempt holds of an upstream: a concurrency slot until it is dropped, and the
/// rate permit of its next request.
pub struct UpstreamPermit {
    limiters: Limiters,
    upstream_name: String,
    slot_id: Uuid,
    upstream: Arc<Upstream>,
    /// Whether the limiter has granted the concurrency slot.
    has_slot: bool,
    /// Whether a request has been sent that has no answer yet.
    is_in_request: bool,
    /// Whether a request has been sent. From then on a pause no longer stops the attempt.
    has_sent: bool,
    rate_permit_at: Instant,
    generation: String,
    _local_slot: OwnedSemaphorePermit,
}

impl UpstreamPermit {
    /// Creates a permit with neither a concurrency slot nor a rate permit.
    pub(super) fn new(
        limiters: Limiters,
        upstream_name: String,
        upstream: Arc<Upstream>,
        local_slot: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            limiters,
            upstream_name,
            slot_id: Uuid::now_v7(),
            upstream,
            has_slot: false,
            is_in_request: false,
            has_sent: false,
            rate_permit_at: Instant::now(),
            generation: String::new(),
            _local_slot: local_slot,
        }
    }

    /// Returns the name of the upstream.
    pub fn upstream_name(&self) -> &str {
        &self.upstream_name
    }

    /// Ensures, right before a request, that the rate permit is still valid: the
    /// claim may have been slow, or a cooldown may have started. An invalid permit
    /// is replaced by the next one, unless that comes after `deadline`.
    ///
    /// # Errors
    /// The same as those of [`Limiters::acquire`].
    pub async fn confirm(&mut self, deadline: Instant) -> Result<(), AcquireError> {
        if let (Some(pause), false) = (self.limiters.pause(&self.upstream_name), self.has_sent) {
            return Err(self.limiters.paused_error(pause));
        }
        while !(self.is_in_time()
            && self.limiters.limiter().confirm(&self.upstream_name, &self.generation).await?
            && self.is_in_time())
        {
            self.wait_for_next(deadline).await?;
        }
        match Instant::now() > deadline {
            // The limiter was slow to answer.
            true => Err(AcquireError::RetryAfter {
                wait: self.upstream.limits().permit_interval(),
                in_cooldown: false,
            }),
            false => {
                self.has_sent = true;
                self.set_in_request(true);
                Ok(())
            }
        }
    }

    /// Reports what the answer to the request says about the upstream's own limit: the rate
    /// follows it, and if too little is left, nobody calls until there is enough.
    pub async fn report_pace(&mut self, report: PaceReport) {
        self.set_in_request(false);
        let Some(pause) = self.upstream.learn(report) else { return };
        let limiter = self.limiters.limiter();
        if let Err(error) = limiter.start_cooldown(&self.upstream_name, pause, false).await {
            tracing::debug!(upstream = self.upstream_name, %error, "could not delay requests");
        }
    }

    fn set_in_request(&mut self, is_in_request: bool) {
        let in_flight = &self.upstream.requests_in_flight;
        match (std::mem::replace(&mut self.is_in_request, is_in_request), is_in_request) {
            (false, true) => in_flight.fetch_add(1, Ordering::SeqCst),
            (true, false) => in_flight.fetch_sub(1, Ordering::SeqCst),
            _ => 0,
        };
    }

    /// Waits for a confirmed rate permit for a further request.
    ///
    /// # Errors
    /// The same as those of [`UpstreamPermit::confirm`].
    pub async fn acquire_next(&mut self, deadline: Instant) -> Result<(), AcquireError> {
        self.set_in_request(false);
        self.wait_for_next(deadline).await?;
        self.confirm(deadline).await
    }

    /// Waits for the next rate permit, and reserves another one if it was missed. A
    /// cooldown may start during the wait.
    pub(super) async fn wait_for_next(&mut self, deadline: Instant) -> Result<(), AcquireError> {
        loop {
            self.reserve_permit(deadline).await?;
            sleep_until(self.rate_permit_at).await;
            if self.is_in_time() {
                return Ok(());
            }
        }
    }

    /// Returns whether the rate permit isn't too old. An upstream that allows two
    /// requests at once tolerates a jitter of one interval: half of it is used here,
    /// the other half is left to the network.
    fn is_in_time(&self) -> bool {
        let half = Duration::from_secs_f64(0.5 / self.upstream.limits().rate);
        self.rate_permit_at.elapsed() <= MAX_LATENESS.min(half)
    }

    async fn reserve_permit(&mut self, deadline: Instant) -> Result<(), AcquireError> {
        let upstream = Arc::clone(&self.upstream);
        // With a slot, the limiter never answers that all are in use, so this caller
        // must not queue behind those that wait for one.
        let _reserve_guard =
            if self.has_slot { None } else { Some(upstream.reserve_lock.lock().await) };
        let slot_deadline = (Instant::now() + MAX_RESERVE_AHEAD).min(deadline);
        let max_ahead = if self.has_slot { MAX_RESERVE_AHEAD } else { MAX_FIRST_RESERVE_AHEAD };
        loop {
            if upstream.needs_restore() {
                self.limiters.restore_cooldown(&self.upstream_name, &upstream).await?;
            }
            let reservation = self
                .limiters
                .limiter()
                .reserve(
                    &self.upstream_name,
                    &upstream.limits(),
                    self.slot_id,
                    // A permit that comes too late would only keep others waiting.
                    max_ahead.min(deadline.saturating_duration_since(Instant::now())),
                )
                .await?;
            match reservation {
                Reservation::Granted(rate_permit) => {
                    self.register_slot();
                    self.rate_permit_at = Instant::now() + rate_permit.wait;
                    self.generation = rate_permit.generation;
                    return Ok(());
                }
                Reservation::RetryAfter { wait, .. }
                    if wait <= MAX_RESERVE_AHEAD && Instant::now() + wait <= slot_deadline =>
                {
                    sleep(wait.saturating_sub(MAX_FIRST_RESERVE_AHEAD)).await;
                }
                Reservation::RetryAfter { wait, in_cooldown } => {
                    return Err(AcquireError::RetryAfter { wait, in_cooldown });
                }
                Reservation::StateLost => {
                    self.limiters.restore_cooldown(&self.upstream_name, &upstream).await?
                }
                Reservation::NoConcurrencySlot if Instant::now() < slot_deadline => {
                    sleep(SLOT_POLL_INTERVAL.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                Reservation::NoConcurrencySlot => {
                    return Err(AcquireError::RetryAfter {
                        wait: Duration::from_secs(1),
                        in_cooldown: false,
                    });
                }
            }
        }
    }

    /// Has the slot renewed from now on. Not earlier, because a renewal takes a slot
    /// even if all are in use.
    fn register_slot(&mut self) {
        if !std::mem::replace(&mut self.has_slot, true) {
            self.upstream.lock_held_slots().push(self.slot_id);
        }
    }
}

impl Drop for UpstreamPermit {
    fn drop(&mut self) {
        self.set_in_request(false);
        let slot_id = self.slot_id;
        self.upstream.lock_held_slots().retain(|held_id| *held_id != slot_id);
        let (limiters, name) = (self.limiters.clone(), std::mem::take(&mut self.upstream_name));
        // Without a runtime, the slot expires by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = limiters.limiter().release(&name, slot_id).await {
                tracing::debug!(upstream = name, %error, "could not release a concurrency slot; it will expire");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::{RATE_SAFETY_FACTOR, UpstreamLimits, embedded::EmbeddedLimiter};
    use contract::api::CooldownReason;

    fn limiters() -> Limiters {
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream("acme", UpstreamLimits { rate: 2.0, concurrency: 4 });
        limiters
    }

    /// A deadline that no permit in these tests reaches.
    fn far_deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn confirm_discards_a_permit_when_a_cooldown_started_after_it_was_reserved() {
        let limiters = limiters();
        let Ok(mut permit) = limiters.acquire("acme").await else { panic!("refused") };
        assert!(permit.confirm(far_deadline()).await.is_ok());
        limiters
            .start_cooldown("acme", Duration::from_secs(3), CooldownReason::TooManyRequests)
            .await;
        let start = Instant::now();
        assert!(permit.confirm(far_deadline()).await.is_ok());
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_next_waits_out_a_cooldown_that_started_meanwhile() {
        let limiters = limiters();
        let Ok(mut permit) = limiters.acquire("acme").await else { panic!("refused") };
        let start = Instant::now();
        let start_cooldown = async {
            sleep(Duration::from_millis(100)).await;
            limiters
                .start_cooldown("acme", Duration::from_secs(3), CooldownReason::TooManyRequests)
                .await;
        };
        let (acquired, ()) = tokio::join!(permit.acquire_next(far_deadline()), start_cooldown);
        assert!(acquired.is_ok());
        assert!(start.elapsed() >= Duration::from_millis(3_100), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_after_the_deadline_is_not_waited_for() {
        let limiters = limiters();
        let Ok(mut permit) = limiters.acquire("acme").await else { panic!("refused") };
        limiters
            .start_cooldown("acme", Duration::from_secs(8), CooldownReason::TooManyRequests)
            .await;
        let start = Instant::now();
        for further in [false, true] {
            let deadline = start + Duration::from_secs(2);
            let result = if further {
                permit.acquire_next(deadline).await
            } else {
                permit.confirm(deadline).await
            };
            let far = |wait: &Duration| *wait >= Duration::from_secs(8);
            assert!(
                matches!(&result, Err(AcquireError::RetryAfter { wait, .. }) if far(wait)),
                "{result:?}"
            );
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_have_begun_come_before_new_ones() {
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream("acme", UpstreamLimits { rate: 6.0, concurrency: 27 });
        let end = Instant::now() + Duration::from_secs(120);
        let work = async || {
            let mut finished = 0;
            while Instant::now() < end {
                let Ok(mut permit) = limiters.acquire("acme").await else { continue };
                // An attempt of two requests, like one that looks up before it creates.
                let latest = Instant::now() + Duration::from_secs(4);
                if permit.confirm(latest).await.is_err() {
                    continue;
                }
                sleep(Duration::from_millis(200)).await;
                if permit.acquire_next(latest).await.is_ok() {
                    sleep(Duration::from_secs(3)).await;
                    finished += 1;
                }
            }
            finished
        };
        let finished: u32 =
            futures_util::future::join_all((0..40).map(|_| work())).await.into_iter().sum();
        // Two permits each.
        let possible = 120.0 * 6.0 * RATE_SAFETY_FACTOR / 2.0;
        assert!(f64::from(finished) > 0.9 * possible, "only {finished} of {possible}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_with_a_slot_does_not_queue_behind_callers_without_one() {
        let limiter = Arc::new(EmbeddedLimiter::default());
        let [ours, theirs] = [1, 2].map(|_| {
            let limiters = Limiters::new(limiter.clone(), None);
            limiters.add_upstream("acme", UpstreamLimits { rate: 2.0, concurrency: 2 });
            limiters
        });
        let Ok(mut permit) = ours.acquire("acme").await else { panic!("refused") };
        let Ok(_other) = theirs.acquire("acme").await else { panic!("refused") };
        // All slots are in use, although this process has a local one left.
        let third_caller = ours.acquire("acme");
        let start = Instant::now();
        let next_permit = async {
            sleep(Duration::from_millis(10)).await;
            assert!(permit.acquire_next(far_deadline()).await.is_ok());
            start.elapsed()
        };
        let (acquired, took) = tokio::join!(third_caller, next_permit);
        assert!(acquired.is_err(), "a third call was admitted");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
