//! Tests that every [`RateLimiter`] has to pass; each adapter's tests call [`run`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use super::{MAX_RESERVE_AHEAD, RateLimiter, RatePermit, Reservation, UpstreamLimits};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Limits with permits 51.5 ms apart.
const LIMITS: UpstreamLimits = UpstreamLimits { rate: 20.0, concurrency: 3 };
/// Allowance for rounding.
const TIMING_TOLERANCE: Duration = Duration::from_millis(15);

struct TestUpstream<'a> {
    limiter: &'a dyn RateLimiter,
    name: String,
    start: Instant,
}

impl<'a> TestUpstream<'a> {
    /// Initializes an upstream with a unique name.
    async fn new(limiter: &'a dyn RateLimiter, name: &str) -> Self {
        let unique_name = format!("{name}-{}", Uuid::now_v7().simple());
        let start = Instant::now();
        let first = limiter
            .reserve(&unique_name, &LIMITS, Uuid::now_v7(), MAX_RESERVE_AHEAD)
            .await
            .unwrap();
        assert_eq!(first, Reservation::StateLost, "an unknown upstream has no state");
        Self { limiter, name: unique_name, start }
    }

    async fn reserve(&self, slot: Uuid) -> Reservation {
        self.limiter.reserve(&self.name, &LIMITS, slot, MAX_RESERVE_AHEAD).await.unwrap()
    }

    /// Reserves a permit; returns it and its time since the start of the test.
    async fn reserve_permit(&self, slot: Uuid) -> (RatePermit, Duration) {
        match self.reserve(slot).await {
            Reservation::Granted(permit) => {
                let starts_at = self.start.elapsed() + permit.wait;
                (permit, starts_at)
            }
            other => panic!("no permit: {other:?}"),
        }
    }

    /// Asserts that `count` intervals between permits are `expected` each. What the calls took is
    /// allowed on top: a permit is never in the past.
    async fn assert_intervals(&self, count: u32, expected: Duration) {
        let start = Instant::now();
        let slot = Uuid::now_v7();
        let mut times = Vec::new();
        for _ in 0..=count {
            times.push(self.reserve_permit(slot).await.1);
        }
        self.limiter.release(&self.name, slot).await.unwrap();
        let total = *times.last().unwrap() - times[0];
        let (exact, tolerance) = (expected * count, TIMING_TOLERANCE + start.elapsed());
        assert!(
            total + tolerance >= exact && total <= exact + tolerance,
            "{times:?}, not {expected:?} each"
        );
    }
}

/// Runs the whole suite against a limiter.
pub async fn run(limiter: &dyn RateLimiter) {
    check_rate(limiter).await;
    check_concurrency(limiter).await;
    check_cooldown(limiter).await;
    check_adaptive_rate(limiter).await;
}

async fn check_rate(limiter: &dyn RateLimiter) {
    let upstream = TestUpstream::new(limiter, "rate").await;
    // No burst credit: the first permit comes after a full interval.
    let (_, first) = upstream.reserve_permit(Uuid::now_v7()).await;
    assert!(first + TIMING_TOLERANCE >= LIMITS.permit_interval(), "{first:?}");
    upstream.assert_intervals(20, LIMITS.permit_interval()).await;
    // Permits are reserved as far ahead as the caller says.
    let slot = Uuid::now_v7();
    let (asked_at, later) = loop {
        let asked_at = Instant::now();
        match upstream.reserve(slot).await {
            Reservation::Granted(permit) => assert!(permit.wait <= MAX_RESERVE_AHEAD),
            other => break (asked_at, other),
        }
    };
    let beyond =
        |wait| wait > MAX_RESERVE_AHEAD && wait < MAX_RESERVE_AHEAD + LIMITS.permit_interval() * 2;
    assert!(
        matches!(later, Reservation::RetryAfter { wait, in_cooldown: false } if beyond(wait)),
        "{later:?}"
    );
    let further = limiter.reserve(&upstream.name, &LIMITS, slot, MAX_RESERVE_AHEAD * 2).await;
    let Ok(Reservation::Granted(permit)) = further else { panic!("no permit: {further:?}") };
    assert!(beyond(permit.wait + asked_at.elapsed()), "{permit:?}");
}

async fn check_concurrency(limiter: &dyn RateLimiter) {
    let upstream = TestUpstream::new(limiter, "concurrency").await;
    let slots: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
    for &slot in &slots {
        upstream.reserve_permit(slot).await;
    }
    let state = limiter.state(&upstream.name, &LIMITS).await.unwrap();
    assert_eq!(state.in_flight, 3);
    assert_eq!(upstream.reserve(Uuid::now_v7()).await, Reservation::NoConcurrencySlot);
    // A caller with a slot gets further permits.
    upstream.reserve_permit(slots[0]).await;
    limiter.renew(&upstream.name, &slots).await.unwrap();
    limiter.release(&upstream.name, slots[1]).await.unwrap();
    upstream.reserve_permit(Uuid::now_v7()).await;
    assert_eq!(upstream.reserve(Uuid::now_v7()).await, Reservation::NoConcurrencySlot);
    // A call whose slot was lost is still in flight: it counts although all slots are
    // in use, and no new call is admitted before there is room for all of them.
    limiter.renew(&upstream.name, &slots[1..2]).await.unwrap();
    assert_eq!(limiter.state(&upstream.name, &LIMITS).await.unwrap().in_flight, 4);
    upstream.reserve_permit(slots[1]).await;
    limiter.release(&upstream.name, slots[0]).await.unwrap();
    assert_eq!(upstream.reserve(Uuid::now_v7()).await, Reservation::NoConcurrencySlot);
    limiter.release(&upstream.name, slots[2]).await.unwrap();
    upstream.reserve_permit(Uuid::now_v7()).await;
}

async fn check_cooldown(limiter: &dyn RateLimiter) {
    let upstream = TestUpstream::new(limiter, "cooldown").await;
    let slot = Uuid::now_v7();
    let (permit, _) = upstream.reserve_permit(slot).await;
    assert!(limiter.confirm(&upstream.name, &permit.generation).await.unwrap());
    let wait = Duration::from_secs(3);
    let start = Instant::now();
    limiter.start_cooldown(&upstream.name, wait, false).await.unwrap();
    assert!(
        !limiter.confirm(&upstream.name, &permit.generation).await.unwrap(),
        "a cooldown has started"
    );
    let remaining =
        limiter.state(&upstream.name, &LIMITS).await.unwrap().cooldown_remaining.unwrap();
    let ends_at = start.elapsed() + remaining + TIMING_TOLERANCE;
    assert!(remaining <= wait && ends_at >= wait, "{remaining:?}");
    // A shorter cooldown doesn't end the current one.
    limiter.start_cooldown(&upstream.name, Duration::from_secs(1), false).await.unwrap();
    let (next, _) = upstream.reserve_permit(slot).await;
    assert!(start.elapsed() + next.wait + TIMING_TOLERANCE >= wait, "{next:?}");
    limiter.start_cooldown(&upstream.name, MAX_RESERVE_AHEAD * 2, false).await.unwrap();
    let later = upstream.reserve(slot).await;
    let long = |wait| wait > MAX_RESERVE_AHEAD && wait <= MAX_RESERVE_AHEAD * 2;
    assert!(
        matches!(later, Reservation::RetryAfter { wait, in_cooldown: true } if long(wait)),
        "{later:?}"
    );
}

async fn check_adaptive_rate(limiter: &dyn RateLimiter) {
    let upstream = TestUpstream::new(limiter, "adaptive").await;
    let no_wait = Duration::ZERO;
    // A restored cooldown is no refusal, and one refusal doesn't reduce the rate.
    limiter.start_cooldown(&upstream.name, no_wait, false).await.unwrap();
    limiter.start_cooldown(&upstream.name, no_wait, true).await.unwrap();
    upstream.assert_intervals(5, LIMITS.permit_interval()).await;
    limiter.start_cooldown(&upstream.name, no_wait, true).await.unwrap();
    let rate = limiter.state(&upstream.name, &LIMITS).await.unwrap().current_rate;
    let half_rate = LIMITS.rate * super::RATE_SAFETY_FACTOR / 2.0;
    assert!(rate >= half_rate && rate < half_rate * 1.05, "{rate}");
    upstream.assert_intervals(5, LIMITS.permit_interval() * 2).await;
}
