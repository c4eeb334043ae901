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

/// What is known of one key.
struct Tries {
    failed: u32,
    under_way: u32,
    /// When the first of those that failed was, or of all.
    since: Instant,
}

/// Tries by key; cheap to clone.
#[derive(Clone, Default)]
pub struct Limiter(Arc<Mutex<HashMap<String, Tries>>>);

impl Limiter {
    /// One guess about the first of `keys`. While it is under way it counts, so
    /// that many at once are not more than may be.
    ///
    /// # Errors
    /// 429 after [`FAILURES`] of one of the keys [`WITHIN`] so long, and for a
    /// moment where as many may still turn out to be wrong.
    pub fn guess<const N: usize>(&self, keys: [String; N]) -> Result<Guess, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, tries| tries.under_way > 0 || tries.since.elapsed() < WITHIN);
        let known = || keys.iter().filter_map(|key| all.get(key));
        let spent = known().filter(|tries| tries.failed >= FAILURES);
        if let Some(since) = spent.map(|tries| tries.since).max() {
            let words = "Too many failed tries. Wait a quarter of an hour.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, words);
            return Err(problem.retry_after(WITHIN.saturating_sub(since.elapsed())));
        }
        if known().any(|tries| tries.failed + tries.under_way >= FAILURES) {
            // Colleagues behind one address may sign in together.
            let words = "Several sign-ins are being checked. Try again in a moment.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, words);
            return Err(problem.retry_after(Duration::from_secs(1)));
        }
        for key in &keys {
            let new = || Tries { failed: 0, under_way: 0, since: Instant::now() };
            all.entry(key.clone()).or_insert_with(new).under_way += 1;
        }
        Ok(Guess { limiter: self.clone(), keys: keys.into(), ended: Ended::Nothing })
    }
}

/// How a guess ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Nobody was right or wrong.
    Nothing,
    Wrong,
    Right,
}

/// A guess that is under way.
pub struct Guess {
    limiter: Limiter,
    keys: Vec<String>,
    ended: Ended,
}

impl Guess {
    pub fn was_wrong(mut self) {
        self.ended = Ended::Wrong;
    }

    /// Earlier failures of what it was about are forgotten. Those of an address
    /// are not: they were about others, too.
    pub fn was_right(mut self) {
        self.ended = Ended::Right;
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut all = self.limiter.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (n, key) in self.keys.iter().enumerate() {
            let Some(tries) = all.get_mut(key) else { continue };
            tries.under_way = tries.under_way.saturating_sub(1);
            match self.ended {
                Ended::Wrong => {
                    if tries.failed == 0 {
                        tries.since = Instant::now();
                    }
                    tries.failed += 1;
                }
                Ended::Right if n == 0 => tries.failed = 0,
                Ended::Right | Ended::Nothing => {}
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
        let Err(problem) = limiter.guess(keys("bob")) else { panic!("it may guess on") };
        assert_eq!(problem.retry_after, Some(Duration::from_secs(1)));
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
