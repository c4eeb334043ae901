//! Requests over a limit, where a busy machine may hold one up on its way.

use std::time::Duration;

/// A limit as the channels keep it, and what is granted besides.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Requests a second.
    pub rate: f64,
    /// Requests at once.
    pub bucket: u32,
    /// So much later than it was let go a request may come.
    pub held_up: Duration,
}

impl Limit {
    /// How many of these arrivals, UTC ms in order, no delay of that length
    /// explains: a late one makes room for as much as the limit lets through
    /// meanwhile.
    pub fn over(&self, arrivals: impl IntoIterator<Item = i64>) -> usize {
        let full = self.held_up.as_secs_f64().mul_add(self.rate, f64::from(self.bucket));
        let (mut tokens, mut last, mut over) = (full, None, 0);
        for at in arrivals {
            let passed = last.map_or(Duration::ZERO, |last: i64| {
                Duration::from_millis(u64::try_from(at - last).unwrap_or_default())
            });
            last = Some(at);
            tokens = passed.as_secs_f64().mul_add(self.rate, tokens).min(full);
            if tokens >= 1.0 {
                tokens -= 1.0;
            } else {
                over += 1;
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(held_up: u64, gaps: impl IntoIterator<Item = i64>) -> usize {
        let limit = Limit { rate: 6.0, bucket: 2, held_up: Duration::from_millis(held_up) };
        limit.over(gaps.into_iter().scan(0, |at, gap| {
            *at += gap;
            Some(*at)
        }))
    }

    #[test]
    fn a_request_that_was_held_up_is_not_over_and_a_doubled_pace_is() {
        // As a machine with a load of 24 on 2 cores did it.
        let held_up = [342, 14, 149, 172, 172];
        assert_eq!((over(0, held_up), over(250, held_up)), (1, 0));
        // Two that do not know of each other, for two seconds.
        let twice = std::iter::repeat_n(86, 24);
        assert!(over(250, twice) > 5);
    }
}
