//! The token bucket behind every rate limit.

use crate::{clock::Micros, profiles::RateLimit};

/// Absorbs the rounding error of a request that arrives exactly when its token is complete.
const ROUNDING: f64 = 1e-9;

/// A token bucket that starts full. A rejected request takes no token.
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

    /// Takes a token at `now`.
    ///
    /// # Errors
    /// There is no token; returns the time at which there will be one.
    pub fn try_take(&mut self, now: Micros) -> Result<(), Micros> {
        // After a restart the wall clock may be set back: that adds no tokens and removes none.
        let elapsed = now.saturating_sub(self.updated_at);
        self.tokens =
            (elapsed as f64).mul_add(self.tokens_per_micro, self.tokens).min(self.capacity);
        self.updated_at = now;
        if self.tokens + ROUNDING >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.tokens) / self.tokens_per_micro;
        Err(now.saturating_add(wait.ceil() as Micros))
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
        assert_eq!(bucket.try_take(START), Ok(()));
        assert_eq!(bucket.try_take(START), Ok(()));
        assert_eq!(bucket.try_take(START), Err(START + SECOND / 2));
        assert_eq!(bucket.try_take(START + SECOND / 2), Ok(()));
        assert!(bucket.try_take(START + SECOND / 2).is_err());
    }

    #[test]
    fn the_allowed_rate_is_never_rejected_and_a_faster_one_is() {
        let mut bucket = two_a_second();
        for n in 0..10_000 {
            assert_eq!(bucket.try_take(START + n * SECOND / 2), Ok(()), "request {n}");
        }
        let mut bucket = two_a_second();
        let rejected =
            (0..1_000).filter(|n| bucket.try_take(START + n * SECOND * 10 / 21).is_err()).count();
        assert!((40..=50).contains(&rejected), "{rejected} of 1000 at 2.1 a second");
    }

    #[test]
    fn idle_time_refills_no_more_than_the_burst() {
        let mut bucket = two_a_second();
        let later = START + 3_600 * SECOND;
        assert_eq!(bucket.try_take(START), Ok(()));
        let taken = (0..5).filter(|_| bucket.try_take(later).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn clock_set_back_neither_adds_nor_removes_tokens() {
        let mut bucket = two_a_second();
        assert_eq!(bucket.try_take(START), Ok(()));
        assert_eq!(bucket.try_take(START), Ok(()));
        let before = START - 3_600 * SECOND;
        assert!(bucket.try_take(before).is_err());
        assert_eq!(bucket.try_take(before + SECOND / 2), Ok(()));
    }
}
