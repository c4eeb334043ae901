//! Limits on guesses of a password, by what is guessed about and by where the
//! guesses come from.
//!
//! | subject | who shares it |
//! | --- | --- |
//! | account, and network | everybody who signs in from a browser that is not known |
//! | device | the browser alone that has signed in to the account before |
//! | session | the signed-in browser alone |
//!
//! A stranger who guesses uses up the account's tries and those of their own
//! network, and so keeps nobody from signing in on a known device, nor a
//! signed-in person from changing the password.

use crate::problem::Problem;
use axum::http::StatusCode;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Failures after which a subject is refused.
const FAILURES: u32 = 10;
/// How long failures count.
const WITHIN: Duration = Duration::from_secs(15 * 60);
/// Maximum number of subjects that are remembered, at some 70 bytes each. So
/// many failures take longer than [`WITHIN`] where few passwords are hashed at
/// once; past it the oldest are forgotten.
const MAX_SUBJECTS: usize = 1 << 16;
/// Time between two removals of what does not count any more.
const SWEEP: Duration = Duration::from_secs(60);

/// What tries are counted by. A hash, so that its size does not depend on what
/// a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject([u8; 32]);

impl Subject {
    fn new(kind: &str, name: &str) -> Self {
        Self(Sha256::digest(format!("{kind} {name}")).into())
    }

    pub fn account(email: &str) -> Self {
        Self::new("account", email)
    }

    /// The network of an address: of IPv6 its /64.
    pub fn network(address: IpAddr) -> Self {
        Self::new("network", &crate::overload::network(address).to_string())
    }

    pub fn device(id: &str) -> Self {
        Self::new("device", id)
    }

    pub fn session(hash: &str) -> Self {
        Self::new("session", hash)
    }
}

/// What is known of one subject.
struct Tries {
    failed: u32,
    under_way: u32,
    /// When the first of those that failed was, or of all.
    since: Instant,
}

impl Tries {
    fn count(&self) -> bool {
        self.under_way > 0 || (self.failed > 0 && self.since.elapsed() < WITHIN)
    }
}

struct Subjects {
    tries: HashMap<Subject, Tries>,
    swept: Instant,
}

impl Subjects {
    /// Forgets what does not count any more, and past [`MAX_SUBJECTS`] the
    /// oldest eighth.
    fn sweep(&mut self) {
        if self.tries.len() < MAX_SUBJECTS && self.swept.elapsed() < SWEEP {
            return;
        }
        self.swept = Instant::now();
        self.tries.retain(|_, tries| tries.count());
        if self.tries.len() >= MAX_SUBJECTS {
            let mut ages: Vec<_> = self.tries.values().map(|tries| tries.since).collect();
            let (_, oldest, _) = ages.select_nth_unstable(MAX_SUBJECTS / 8);
            let oldest = *oldest;
            self.tries.retain(|_, tries| tries.since > oldest);
        }
    }
}

/// Tries by subject; cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Mutex<Subjects>>);

impl Default for Limiter {
    fn default() -> Self {
        let subjects = Subjects { tries: HashMap::new(), swept: Instant::now() };
        Self(Arc::new(Mutex::new(subjects)))
    }
}

impl Limiter {
    /// One guess about the first of `subjects`. While it is under way it
    /// counts, so that many at once are not more than may be.
    ///
    /// # Errors
    /// 429 after [`FAILURES`] of one of the subjects [`WITHIN`] so long, and
    /// for a moment where as many may still turn out to be wrong.
    pub fn guess(&self, subjects: &[Subject]) -> Result<Guess, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.sweep();
        let known = || subjects.iter().filter_map(|subject| all.tries.get(subject));
        let spent = known().filter(|tries| tries.failed >= FAILURES && tries.count());
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
        for subject in subjects {
            let new = || Tries { failed: 0, under_way: 0, since: Instant::now() };
            all.tries.entry(*subject).or_insert_with(new).under_way += 1;
        }
        Ok(Guess { limiter: self.clone(), subjects: subjects.into(), ended: Ended::Nothing })
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
    subjects: Vec<Subject>,
    ended: Ended,
}

impl Guess {
    pub fn was_wrong(mut self) {
        self.ended = Ended::Wrong;
    }

    /// Earlier failures of what it was about are forgotten. Those of a network
    /// are not: they were about others, too.
    pub fn was_right(mut self) {
        self.ended = Ended::Right;
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut all = self.limiter.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (n, subject) in self.subjects.iter().enumerate() {
            let Some(tries) = all.tries.get_mut(subject) else { continue };
            tries.under_way = tries.under_way.saturating_sub(1);
            match self.ended {
                Ended::Wrong => {
                    if tries.failed == 0 || tries.since.elapsed() >= WITHIN {
                        tries.since = Instant::now();
                        tries.failed = 0;
                    }
                    tries.failed += 1;
                }
                Ended::Right if n == 0 => tries.failed = 0,
                Ended::Right | Ended::Nothing => {}
            }
            if tries.failed == 0 && tries.under_way == 0 {
                all.tries.remove(subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn from(account: &str, address: &str) -> [Subject; 2] {
        [Subject::account(account), Subject::network(address.parse().unwrap())]
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_under_way_count_and_come_back_where_nobody_was_wrong() {
        let limiter = Limiter::default();
        let ada = from("ada", "10.0.0.1");
        let many: Vec<_> = (0..FAILURES).map(|_| limiter.guess(&ada).unwrap()).collect();
        let Err(problem) = limiter.guess(&from("bob", "10.0.0.1")) else {
            panic!("it may guess on")
        };
        assert_eq!(problem.retry_after, Some(Duration::from_secs(1)));
        drop(many);
        assert!(limiter.guess(&ada).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_of_ones_own_does_not_make_good_for_guesses_about_others() {
        let limiter = Limiter::default();
        let eve = from("eve", "10.0.0.1");
        for n in 0..FAILURES {
            limiter.guess(&from(&n.to_string(), "10.0.0.1")).unwrap().was_wrong();
            if n < FAILURES - 1 {
                limiter.guess(&eve).unwrap().was_right();
            }
        }
        let Err(problem) = limiter.guess(&eve) else { panic!("it may guess on") };
        assert_eq!(problem.retry_after, Some(WITHIN));
        tokio::time::advance(WITHIN).await;
        assert!(limiter.guess(&eve).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_network_are_one() {
        let limiter = Limiter::default();
        for n in 0..FAILURES {
            let address = format!("2001:db8:0:1::{n:x}");
            limiter.guess(&from(&n.to_string(), &address)).unwrap().was_wrong();
        }
        assert!(limiter.guess(&from("ada", "2001:db8:0:1:ffff::1")).is_err());
        assert!(limiter.guess(&from("ada", "2001:db8:0:2::1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_guesses_bind_no_known_device_and_no_session() {
        let limiter = Limiter::default();
        for n in 0..FAILURES {
            limiter.guess(&from("ada", &format!("10.0.0.{n}"))).unwrap().was_wrong();
        }
        assert!(limiter.guess(&from("ada", "10.0.9.9")).is_err());
        assert!(limiter.guess(&[Subject::device("laptop")]).is_ok());
        assert!(limiter.guess(&[Subject::session("hash")]).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let limiter = Limiter::default();
        let wrong = |name: &str| limiter.guess(&[Subject::account(name)]).unwrap().was_wrong();
        wrong("first");
        for n in 0..2 * MAX_SUBJECTS {
            if n % 1000 == 0 {
                tokio::time::advance(Duration::from_millis(1)).await;
            }
            wrong(&n.to_string());
        }
        let all = limiter.0.lock().unwrap();
        assert!(all.tries.len() <= MAX_SUBJECTS, "{}", all.tries.len());
        assert!(!all.tries.contains_key(&Subject::account("first")));
        let newest = (2 * MAX_SUBJECTS - 1).to_string();
        assert!(all.tries.contains_key(&Subject::account(&newest)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_right_leaves_nothing_behind() {
        let limiter = Limiter::default();
        for n in 0..100 {
            limiter.guess(&[Subject::account(&n.to_string())]).unwrap().was_right();
        }
        assert!(limiter.0.lock().unwrap().tries.is_empty());
    }
}
