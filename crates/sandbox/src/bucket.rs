//! The token bucket that every limit is.

use crate::{clock::Micros, spec::Rate};

/// Absorbs the rounding of a request that comes exactly when its token is whole.
const ROUNDING: f64 = 1e-9;

/// Full at first. A refused request takes no token.
pub struct Bucket {
    per_micro: f64,
    capacity: f64,
    tokens: f64,
    at: Micros,
}

impl Bucket {
    /// `rate` is the real one, already multiplied by the speed.
    pub fn full(rate: Rate) -> Self {
        let capacity = f64::from(rate.bucket);
        Self { per_micro: rate.per_second / 1e6, capacity, tokens: capacity, at: 0 }
    }

    /// Takes a token at `now`, or says at what time there will be one.
    pub fn take(&mut self, now: Micros) -> Result<(), Micros> {
        // A restart may find the wall clock set back: that gives no tokens and blocks none.
        let elapsed = now.saturating_sub(self.at);
        self.tokens = (elapsed as f64).mul_add(self.per_micro, self.tokens).min(self.capacity);
        self.at = now;
        if self.tokens + ROUNDING >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.tokens) / self.per_micro;
        Err(now.saturating_add(wait.ceil() as Micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;
    /// Far from zero, as real times are.
    const START: Micros = 1_790_000_000 * SECOND;

    fn two_a_second() -> Bucket {
        Bucket::full(Rate { per_second: 2.0, bucket: 2 })
    }

    #[test]
    fn a_full_bucket_gives_its_size_and_then_its_rate() {
        let mut bucket = two_a_second();
        assert_eq!(bucket.take(START), Ok(()));
        assert_eq!(bucket.take(START), Ok(()));
        assert_eq!(bucket.take(START), Err(START + SECOND / 2));
        assert_eq!(bucket.take(START + SECOND / 2), Ok(()));
        assert!(bucket.take(START + SECOND / 2).is_err());
    }

    #[test]
    fn the_steady_rate_is_never_refused_and_a_faster_one_is() {
        let mut bucket = two_a_second();
        for n in 0..10_000 {
            assert_eq!(bucket.take(START + n * SECOND / 2), Ok(()), "request {n}");
        }
        let mut bucket = two_a_second();
        let refused =
            (0..1_000).filter(|n| bucket.take(START + n * SECOND * 10 / 21).is_err()).count();
        assert!((40..=50).contains(&refused), "{refused} of 1000 at 2.1 a second");
    }

    #[test]
    fn rest_fills_no_more_than_the_bucket() {
        let mut bucket = two_a_second();
        let later = START + 3_600 * SECOND;
        assert_eq!(bucket.take(START), Ok(()));
        let taken = (0..5).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn a_clock_set_back_neither_gives_nor_blocks() {
        let mut bucket = two_a_second();
        assert_eq!(bucket.take(START), Ok(()));
        assert_eq!(bucket.take(START), Ok(()));
        let before = START - 3_600 * SECOND;
        assert!(bucket.take(before).is_err());
        assert_eq!(bucket.take(before + SECOND / 2), Ok(()));
    }
}
