//! How often one may guess: per account and per address.

use crate::problem::Problem;
use axum::http::StatusCode;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

const FAILURES: u32 = 10;
const WITHIN: Duration = Duration::from_secs(15 * 60);

/// Failures by key, and when the first of them was; cheap to clone.
#[derive(Clone, Default)]
pub struct Limiter(Arc<Mutex<HashMap<String, (u32, Instant)>>>);

impl Limiter {
    /// One guess about the first of `keys`. It counts from here on, so that
    /// many at once are not more than may be; dropped without a word it is
    /// given back.
    ///
    /// # Errors
    /// 429 after [`FAILURES`] of one of the keys [`WITHIN`] so long.
    pub fn guess<const N: usize>(&self, keys: [String; N]) -> Result<Guess, Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (_, since)| since.elapsed() < WITHIN);
        let spent = |key| counts.get(key).filter(|(n, _)| *n >= FAILURES).map(|(_, since)| *since);
        if let Some(since) = keys.iter().filter_map(spent).max() {
            let words = "Too many failed tries. Wait a quarter of an hour.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, words);
            return Err(problem.retry_after(WITHIN.saturating_sub(since.elapsed())));
        }
        for key in &keys {
            counts.entry(key.clone()).or_insert((0, Instant::now())).0 += 1;
        }
        Ok(Guess { limiter: self.clone(), keys: keys.into() })
    }
}

/// A guess that is under way.
pub struct Guess {
    limiter: Limiter,
    keys: Vec<String>,
}

impl Guess {
    pub fn was_wrong(mut self) {
        self.keys.clear();
    }

    /// Earlier failures of what it was about are forgotten. Those of an address
    /// are not: they were about others, too.
    pub fn was_right(self) {
        let mut counts = self.limiter.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = self.keys.first() {
            counts.remove(first);
        }
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut counts = self.limiter.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some((count, _)) = counts.get_mut(key) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys(account: &str) -> [String; 2] {
        [format!("account {account}"), "address".to_owned()]
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_under_way_count_and_come_back_where_nobody_was_wrong() {
        let limiter = Limiter::default();
        let many: Vec<_> = (0..FAILURES).map(|_| limiter.guess(keys("ada")).unwrap()).collect();
        assert!(limiter.guess(keys("ada")).is_err());
        drop(many);
        assert!(limiter.guess(keys("ada")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_of_ones_own_does_not_make_good_for_guesses_about_others() {
        let limiter = Limiter::default();
        for n in 0..FAILURES {
            limiter.guess(keys(&n.to_string())).unwrap().was_wrong();
            if n < FAILURES - 1 {
                limiter.guess(keys("eve")).unwrap().was_right();
            }
        }
        let Err(problem) = limiter.guess(keys("eve")) else { panic!("it may guess on") };
        assert_eq!(problem.retry_after, Some(WITHIN));
        tokio::time::advance(WITHIN).await;
        assert!(limiter.guess(keys("eve")).is_ok());
    }
}
