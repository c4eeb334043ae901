//! What the answers of an upstream say about its own limit.

use super::RATE_SAFETY_FACTOR;
use std::time::Duration;
use tokio::time::Instant;

/// Time after which what was learned is forgotten: the service may allow more again.
const LEARNED_TTL: Duration = Duration::from_secs(300);
/// Lowest rate that is learned, in requests per second: nonsense must not stop an upstream.
const MIN_RATE: f64 = 1.0 / 60.0;
/// Factor by which requests may be faster than what is left refills, while enough is left: so
/// what a pause has saved up is used. It makes up for [`RATE_SAFETY_FACTOR`] too, because here
/// the service itself says how much there is.
const CATCH_UP: f64 = 1.05 / RATE_SAFETY_FACTOR;
/// Weight of the newest cost in the mean.
const COST_WEIGHT: f64 = 0.2;
/// Longest pause until enough is left again. A service that says less than this makes its
/// callers wait by a 429.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What one answer says about the limit of its service: a bucket that refills steadily, as
/// that of Shopify's [throttle status](https://shopify.dev/docs/api/usage/limits).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceReport {
    /// What is left, in requests or in points of the service.
    pub left: f64,
    /// What is added in a second.
    pub refill: f64,
    /// What the request took; 1 if the service counts requests.
    pub cost: f64,
}

/// The pace that the reports of an upstream allow.
#[derive(Debug, Default)]
pub struct LearnedPace {
    /// Mean cost of a request.
    cost: Option<f64>,
    rate: Option<(f64, Instant)>,
    /// Most that was seen to be there before a request.
    capacity: f64,
}

impl LearnedPace {
    /// Learns from a report. `in_flight` other requests may not be counted in it yet. Returns
    /// the time until the next request finds enough left, if it has to wait.
    pub fn learn(&mut self, report: PaceReport, in_flight: usize) -> Option<Duration> {
        let PaceReport { left, refill, cost } = report;
        let is_usable = |number: f64| number.is_finite() && number > 0.0;
        if !is_usable(refill) || !is_usable(cost) || !left.is_finite() {
            return None;
        }
        let mean = self.cost.map_or(cost, |mean| mean + (cost - mean) * COST_WEIGHT);
        self.cost = Some(mean);
        self.capacity = self.capacity.max(left + cost);
        // One request more, where there is room: other clients of the same account call too.
        let spare = mean.min(self.capacity - mean).max(0.0);
        let in_flight = f64::from(u32::try_from(in_flight).unwrap_or(u32::MAX));
        let missing = mean * (1.0 + in_flight) + spare - left;
        let factor = if missing > 0.0 { 1.0 } else { CATCH_UP };
        self.rate = Some(((refill / mean * factor).max(MIN_RATE), Instant::now()));
        if missing <= 0.0 {
            return None;
        }
        Some(Duration::try_from_secs_f64(missing / refill).map_or(MAX_PAUSE, |t| t.min(MAX_PAUSE)))
    }

    /// Returns the rate that is allowed, in requests per second, if that was learned lately.
    pub fn rate(&self) -> Option<f64> {
        self.rate.filter(|(_, at)| at.elapsed() < LEARNED_TTL).map(|(rate, _)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::{Limiters, UpstreamLimits, UpstreamPermit, embedded::EmbeddedLimiter};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tokio::time::{Instant, sleep};

    /// A service with a bucket, as Shopify and those with `X-RateLimit-Remaining` have it.
    struct Bucket {
        capacity: f64,
        refill: f64,
        left: f64,
        at: Instant,
        refused: u32,
        refused_in_a_row: u32,
        used: f64,
    }

    impl Bucket {
        fn new(capacity: f64, refill: f64) -> Self {
            let (refused, refused_in_a_row, used) = (0, 0, 0.0);
            let (left, at) = (capacity, Instant::now());
            Self { capacity, refill, left, at, refused, refused_in_a_row, used }
        }

        fn take(&mut self, cost: f64) -> PaceReport {
            let now = Instant::now();
            let refilled = (now - self.at).as_secs_f64() * self.refill;
            (self.left, self.at) = ((self.left + refilled).min(self.capacity), now);
            match self.left >= cost {
                true => {
                    self.left -= cost;
                    self.used += cost;
                    self.refused_in_a_row = 0;
                }
                false => {
                    self.refused += 1;
                    self.refused_in_a_row += 1;
                }
            }
            PaceReport { left: self.left, refill: self.refill, cost }
        }
    }

    /// Calls the service as fast as the limiter allows for `seconds`, from several attempts.
    async fn run(
        bucket: Bucket,
        rate: f64,
        costs: [f64; 2],
        others: f64,
        seconds: u64,
    ) -> (Bucket, u32) {
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        limiters.add_upstream("acme", UpstreamLimits { rate, concurrency: 8 });
        let bucket = Arc::new(parking_lot::Mutex::new(bucket));
        let worst = AtomicU32::default();
        let end = Instant::now() + Duration::from_secs(seconds);
        let work = async || {
            while Instant::now() < end {
                let Ok(mut permit): Result<UpstreamPermit, _> = limiters.acquire("acme").await
                else {
                    continue;
                };
                for (index, cost) in costs.into_iter().enumerate() {
                    let deadline = Instant::now() + Duration::from_secs(60);
                    let acquired = match index {
                        0 => permit.confirm(deadline).await,
                        _ => permit.acquire_next(deadline).await,
                    };
                    assert!(acquired.is_ok());
                    sleep(Duration::from_millis(50)).await;
                    // Others take their share of the bucket too.
                    let report = {
                        let mut bucket = bucket.lock();
                        bucket.left -= others;
                        bucket.take(cost)
                    };
                    let in_a_row = bucket.lock().refused_in_a_row;
                    worst.fetch_max(in_a_row, Ordering::SeqCst);
                    sleep(Duration::from_millis(50)).await;
                    permit.report_pace(report).await;
                }
            }
        };
        futures_util::future::join_all((0..8).map(|_| work())).await;
        let worst = worst.into_inner();
        let bucket = Arc::into_inner(bucket).map(parking_lot::Mutex::into_inner);
        (bucket.unwrap_or_else(|| Bucket::new(0.0, 0.0)), worst)
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_allows_less_than_configured_is_never_overrun_and_well_used() {
        let (bucket, _) = run(Bucket::new(4.0, 1.0), 2.0, [1.0, 1.0], 0.0, 600).await;
        assert_eq!(bucket.refused, 0);
        assert!(bucket.used >= 0.98 * 600.0, "{} of 600", bucket.used);
    }

    #[tokio::test(start_paused = true)]
    async fn points_are_used_and_never_exceeded_twice_in_a_row() {
        // Shopify's standard plan: 1,000 points, 100 a second; a find and a productSet.
        let (bucket, worst) = run(Bucket::new(1_000.0, 100.0), 50.0, [4.0, 16.0], 0.0, 600).await;
        assert!(worst <= 1, "{worst} refusals in a row");
        assert!(bucket.used >= 0.9 * 60_000.0, "{} of 60,000", bucket.used);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_while_others_use_up_what_is_left() {
        let (bucket, _) = run(Bucket::new(4.0, 1.0), 2.0, [1.0, 1.0], 0.5, 600).await;
        assert_eq!(bucket.refused, 0);
        // A request of ours goes with half a one of theirs.
        assert!(bucket.used >= 0.9 * 400.0, "{} of 400", bucket.used);
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_not_learned() {
        let mut learned = LearnedPace::default();
        for (left, refill, cost) in [(f64::NAN, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, -1.0)] {
            assert_eq!(learned.learn(PaceReport { left, refill, cost }, 0), None);
        }
        assert_eq!(learned.rate(), None);
        let report = PaceReport { left: -5.0, refill: 1e-9, cost: 1.0 };
        assert_eq!(learned.learn(report, 0), Some(MAX_PAUSE));
    }
}
