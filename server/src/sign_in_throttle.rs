//! Limits password attempts, by the account that they concern and by the place that
//! they come from.
//!
//! | key | shared by |
//! | --- | --- |
//! | account, and network | everybody who signs in from an unknown browser |
//! | device | nobody: a browser that has signed in to the account before |
//! | session | nobody: a signed-in browser |
//!
//! A stranger who guesses uses up the attempts of the account and of their own
//! network. This prevents nobody from signing in on a known device, and no
//! signed-in user from changing the password.

use crate::problem::Problem;
use axum::http::StatusCode;
use ingress::client_address::network_of;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Number of failures after which a key is blocked.
const MAX_FAILURES: u32 = 10;
/// Time for which failures count.
const FAILURE_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Maximum number of keys in memory, at some 70 bytes each. Only a few passwords
/// are hashed at once, so that this many failures take longer than [`FAILURE_WINDOW`].
/// Beyond the maximum, the oldest keys are removed.
const MAX_KEYS: usize = 1 << 16;
/// Time between two removals of keys whose failures no longer count.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Key by which attempts are counted. It is a hash, so that its size does not depend
/// on the client's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThrottleKey([u8; 32]);

impl ThrottleKey {
    fn new(kind: &str, name: &str) -> Self {
        Self(Sha256::digest(format!("{kind} {name}")).into())
    }

    pub fn account(email: &str) -> Self {
        Self::new("account", email)
    }

    /// Returns the key of an address's network, which for IPv6 is its /64.
    pub fn network(address: IpAddr) -> Self {
        Self::new("network", &network_of(address).to_string())
    }

    pub fn device(id: &str) -> Self {
        Self::new("device", id)
    }

    pub fn session(hash: &str) -> Self {
        Self::new("session", hash)
    }
}

/// Attempts of one key.
struct AttemptCounter {
    failures: u32,
    in_flight: u32,
    /// When the first counted failure happened; without one, when the first attempt
    /// began.
    window_start: Instant,
}

impl AttemptCounter {
    fn is_active(&self) -> bool {
        self.in_flight > 0 || (self.failures > 0 && self.window_start.elapsed() < FAILURE_WINDOW)
    }
}

struct ThrottleState {
    counters: HashMap<ThrottleKey, AttemptCounter>,
    last_sweep: Instant,
}

impl ThrottleState {
    /// Removes keys whose failures no longer count, and at [`MAX_KEYS`] the oldest
    /// eighth.
    fn sweep(&mut self) {
        if self.counters.len() < MAX_KEYS && self.last_sweep.elapsed() < SWEEP_INTERVAL {
            return;
        }
        self.last_sweep = Instant::now();
        self.counters.retain(|_, counter| counter.is_active());
        if self.counters.len() >= MAX_KEYS {
            let mut ages: Vec<_> =
                self.counters.values().map(|counter| counter.window_start).collect();
            let (_, oldest, _) = ages.select_nth_unstable(MAX_KEYS / 8);
            let oldest = *oldest;
            self.counters.retain(|_, counter| counter.window_start > oldest);
        }
    }
}

/// Attempts by key. Cheap to clone.
#[derive(Clone)]
pub struct SignInThrottle(Arc<Mutex<ThrottleState>>);

impl Default for SignInThrottle {
    fn default() -> Self {
        let state = ThrottleState { counters: HashMap::new(), last_sweep: Instant::now() };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl SignInThrottle {
    /// Begins an attempt that concerns the first of the keys. It counts while it is
    /// in flight, so that concurrent attempts can't exceed the limit.
    ///
    /// # Errors
    /// 429 after [`MAX_FAILURES`] of one of the keys within [`FAILURE_WINDOW`], and
    /// for a moment while attempts in flight could still add up to that many.
    pub fn begin_attempt(&self, keys: &[ThrottleKey]) -> Result<SignInAttempt, Problem> {
        let mut state = self.0.lock();
        state.sweep();
        let counters = || keys.iter().filter_map(|key| state.counters.get(key));
        let blocked =
            counters().filter(|counter| counter.failures >= MAX_FAILURES && counter.is_active());
        if let Some(since) = blocked.map(|counter| counter.window_start).max() {
            let detail = "Too many failed tries. Wait a quarter of an hour.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
            return Err(problem.with_retry_after(FAILURE_WINDOW.saturating_sub(since.elapsed())));
        }
        if counters().any(|counter| counter.failures + counter.in_flight >= MAX_FAILURES) {
            // Colleagues behind one address may sign in at the same time.
            let detail = "Several sign-ins are being checked. Try again in a moment.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
            return Err(problem.with_retry_after(Duration::from_secs(1)));
        }
        for key in keys {
            let new = || AttemptCounter { failures: 0, in_flight: 0, window_start: Instant::now() };
            state.counters.entry(*key).or_insert_with(new).in_flight += 1;
        }
        Ok(SignInAttempt {
            throttle: self.clone(),
            keys: keys.into(),
            outcome: SignInOutcome::Undecided,
        })
    }
}

/// Outcome of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SignInOutcome {
    /// The password was not checked.
    Undecided,
    Failed,
    Succeeded,
}

/// Attempt that is in flight. Dropping it counts its outcome.
pub struct SignInAttempt {
    throttle: SignInThrottle,
    keys: Vec<ThrottleKey>,
    outcome: SignInOutcome,
}

impl SignInAttempt {
    /// Counts a failure for all keys.
    pub fn record_failure(mut self) {
        self.outcome = SignInOutcome::Failed;
    }

    /// Resets the failures of the first key. Those of a network remain: they concern
    /// other accounts, too.
    pub fn record_success(mut self) {
        self.outcome = SignInOutcome::Succeeded;
    }
}

impl Drop for SignInAttempt {
    fn drop(&mut self) {
        let mut state = self.throttle.0.lock();
        for (n, key) in self.keys.iter().enumerate() {
            let Some(counter) = state.counters.get_mut(key) else { continue };
            counter.in_flight = counter.in_flight.saturating_sub(1);
            match self.outcome {
                SignInOutcome::Failed => {
                    if counter.failures == 0 || counter.window_start.elapsed() >= FAILURE_WINDOW {
                        counter.window_start = Instant::now();
                        counter.failures = 0;
                    }
                    counter.failures += 1;
                }
                SignInOutcome::Succeeded if n == 0 => counter.failures = 0,
                SignInOutcome::Succeeded | SignInOutcome::Undecided => {}
            }
            if counter.failures == 0 && counter.in_flight == 0 {
                state.counters.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys_for(account: &str, address: &str) -> [ThrottleKey; 2] {
        [ThrottleKey::account(account), ThrottleKey::network(address.parse().unwrap())]
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_in_flight_count_until_they_end() {
        let throttle = SignInThrottle::default();
        let ada = keys_for("ada", "10.0.0.1");
        let many: Vec<_> =
            (0..MAX_FAILURES).map(|_| throttle.begin_attempt(&ada).unwrap()).collect();
        let Err(problem) = throttle.begin_attempt(&keys_for("bob", "10.0.0.1")) else {
            panic!("the attempt was allowed")
        };
        assert_eq!(problem.retry_after, Some(Duration::from_secs(1)));
        drop(many);
        assert!(throttle.begin_attempt(&ada).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn own_success_does_not_reset_failures_of_the_network() {
        let throttle = SignInThrottle::default();
        let eve = keys_for("eve", "10.0.0.1");
        for n in 0..MAX_FAILURES {
            throttle.begin_attempt(&keys_for(&n.to_string(), "10.0.0.1")).unwrap().record_failure();
            if n < MAX_FAILURES - 1 {
                throttle.begin_attempt(&eve).unwrap().record_success();
            }
        }
        let Err(problem) = throttle.begin_attempt(&eve) else { panic!("the attempt was allowed") };
        assert_eq!(problem.retry_after, Some(FAILURE_WINDOW));
        tokio::time::advance(FAILURE_WINDOW).await;
        assert!(throttle.begin_attempt(&eve).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_network_share_a_counter() {
        let throttle = SignInThrottle::default();
        for n in 0..MAX_FAILURES {
            let address = format!("2001:db8:0:1::{n:x}");
            throttle.begin_attempt(&keys_for(&n.to_string(), &address)).unwrap().record_failure();
        }
        assert!(throttle.begin_attempt(&keys_for("ada", "2001:db8:0:1:ffff::1")).is_err());
        assert!(throttle.begin_attempt(&keys_for("ada", "2001:db8:0:2::1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_others_do_not_throttle_a_known_device_or_session() {
        let throttle = SignInThrottle::default();
        for n in 0..MAX_FAILURES {
            throttle
                .begin_attempt(&keys_for("ada", &format!("10.0.0.{n}")))
                .unwrap()
                .record_failure();
        }
        assert!(throttle.begin_attempt(&keys_for("ada", "10.0.9.9")).is_err());
        assert!(throttle.begin_attempt(&[ThrottleKey::device("laptop")]).is_ok());
        assert!(throttle.begin_attempt(&[ThrottleKey::session("hash")]).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn counters_are_bounded_and_the_oldest_is_evicted() {
        let throttle = SignInThrottle::default();
        let wrong = |name: &str| {
            throttle.begin_attempt(&[ThrottleKey::account(name)]).unwrap().record_failure()
        };
        wrong("first");
        for n in 0..2 * MAX_KEYS {
            if n % 1000 == 0 {
                tokio::time::advance(Duration::from_millis(1)).await;
            }
            wrong(&n.to_string());
        }
        let state = throttle.0.lock();
        assert!(state.counters.len() <= MAX_KEYS, "{}", state.counters.len());
        assert!(!state.counters.contains_key(&ThrottleKey::account("first")));
        let newest = (2 * MAX_KEYS - 1).to_string();
        assert!(state.counters.contains_key(&ThrottleKey::account(&newest)));
    }

    #[tokio::test(start_paused = true)]
    async fn success_removes_the_counter() {
        let throttle = SignInThrottle::default();
        for n in 0..100 {
            throttle
                .begin_attempt(&[ThrottleKey::account(&n.to_string())])
                .unwrap()
                .record_success();
        }
        assert!(throttle.0.lock().counters.is_empty());
    }
}
