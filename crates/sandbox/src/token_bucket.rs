//! The token bucket behind every rate limit.

use crate::{clock::Micros, profiles::RateLimit};

/// Absorbs the rounding error of a request that arrives exactly when its token is complete.
const ROUNDING: f64 = 1e-9;

/// A token bucket that starts full. A rejected request takes no tokens.
pub struct TokenBucket {
    tokens_per_micro: f64,
    capacity: f64,
    tokens: f64,
    updated_at: Micros,
}

impl TokenBucket {
    /// Returns a full bucket. `rate` is the real one, already multiplied by the speed.
    pub fn full(rate: RateLimit) -> Self {
        let capacity = f64::from(rate.burst);
        Self { tokens_per_micro: rate.per_second / 1e6, capacity, tokens: capacity, updated_at: 0 }
    }

    /// Takes `count` tokens at `now`.
    ///
    /// # Errors
    /// There are fewer; returns the time at which there will be enough.
    pub fn try_take(&mut self, count: f64, now: Micros) -> Result<(), Micros> {
        self.refill(now);
        if self.tokens + ROUNDING >= count {
            self.tokens -= count;
            return Ok(());
        }
        let wait = (count - self.tokens) / self.tokens_per_micro;
        Err(now.saturating_add(wait.ceil() as Micros))
    }

    /// Gives tokens back that were taken and not needed.
    pub fn give_back(&mut self, count: f64) {
        self.tokens = (self.tokens + count).min(self.capacity);
    }

    /// Returns the number of tokens at `now`.
    pub fn left(&mut self, now: Micros) -> f64 {
        self.refill(now);
        self.tokens.max(0.0)
    }

    fn refill(&mut self, now: Micros) {
        // After a restart the wall clock may be set back: that adds no tokens and removes none.
        let elapsed = now.saturating_sub(self.updated_at);
        self.tokens =
            (elapsed as f64).mul_add(self.tokens_per_micro, self.tokens).min(self.capacity);
        self.updated_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;
    /// A time far from zero, like real ones.
    const START: Micros = 1_790_000_000 * SECOND;

    fn two_a_second() -> TokenBucket {
        TokenBucket::full(RateLimit { per_second: 2.0, burst: 2 })
    }

    #[test]
    fn full_bucket_allows_its_burst_and_then_its_rate() {
        let mut bucket = two_a_second();
        assert_eq!(bucket.try_take(1.0, START), Ok(()));
        assert_eq!(bucket.try_take(1.0, START), Ok(()));
        assert_eq!(bucket.try_take(1.0, START), Err(START + SECOND / 2));
        assert_eq!(bucket.try_take(1.0, START + SECOND / 2), Ok(()));
        assert!(bucket.try_take(1.0, START + SECOND / 2).is_err());
    }

    #[test]
    fn the_allowed_rate_is_never_rejected_and_a_faster_one_is() {
        let mut bucket = two_a_second();
        for n in 0..10_000 {
            assert_eq!(bucket.try_take(1.0, START + n * SECOND / 2), Ok(()), "request {n}");
        }
        let mut bucket = two_a_second();
        let rejected = (0..1_000)
            .filter(|n| bucket.try_take(1.0, START + n * SECOND * 10 / 21).is_err())
            .count();
        assert!((40..=50).contains(&rejected), "{rejected} of 1000 at 2.1 a second");
    }

    #[test]
    fn idle_time_refills_no_more_than_the_burst() {
        let mut bucket = two_a_second();
        let later = START + 3_600 * SECOND;
        assert_eq!(bucket.try_take(1.0, START), Ok(()));
        let taken = (0..5).filter(|_| bucket.try_take(1.0, later).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn clock_set_back_neither_adds_nor_removes_tokens() {
        let mut bucket = two_a_second();
        assert_eq!(bucket.try_take(1.0, START), Ok(()));
        assert_eq!(bucket.try_take(1.0, START), Ok(()));
        let before = START - 3_600 * SECOND;
        assert!(bucket.try_take(1.0, before).is_err());
        assert_eq!(bucket.try_take(1.0, before + SECOND / 2), Ok(()));
    }

    #[test]
    fn tokens_are_taken_in_numbers_and_given_back() {
        let mut bucket = TokenBucket::full(RateLimit { per_second: 25.0, burst: 100 });
        assert_eq!(bucket.try_take(60.0, START), Ok(()));
        // 10 are missing.
        assert_eq!(bucket.try_take(50.0, START), Err(START + SECOND * 2 / 5));
        bucket.give_back(30.0);
        assert_eq!(bucket.try_take(50.0, START), Ok(()));
        assert_eq!(bucket.left(START + SECOND), 45.0);
        bucket.give_back(90.0);
        assert_eq!(bucket.left(START + SECOND), 100.0);
    }
}
