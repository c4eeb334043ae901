//! Back-off from throttling, for a service that never says how long to wait.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// First and longest cooldown; each is twice the one before.
const COOLDOWNS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// Time without throttling, after the end of a cooldown, after which the next one is short again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Exponential back-off from the throttling of one kind of call.
#[derive(Debug, Default)]
pub struct ThrottleBackoff(Mutex<Option<LastCooldown>>);

#[derive(Clone, Copy, Debug)]
struct LastCooldown {
    wait: Duration,
    end: Instant,
}

impl ThrottleBackoff {
    /// Returns the cooldown for an answer that has just come. Calls that were sent before the
    /// last cooldown ended say nothing new: they extend it only to its length.
    pub fn next_wait(&self) -> Duration {
        let mut last = self.0.lock();
        let now = Instant::now();
        let wait = match *last {
            Some(LastCooldown { wait, end }) if now < end => wait,
            Some(LastCooldown { wait, end }) if now < end + FORGIVEN_AFTER => {
                (wait * 2).min(COOLDOWNS[1])
            }
            _ => COOLDOWNS[0],
        };
        *last = Some(LastCooldown { wait, end: now + wait });
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn each_cooldown_is_twice_the_last_until_it_is_forgiven() {
        let backoff = ThrottleBackoff::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = backoff.next_wait();
            waits.push(wait.as_secs());
            advance(wait).await;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        advance(FORGIVEN_AFTER).await;
        assert_eq!(backoff.next_wait(), COOLDOWNS[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_calls_of_the_same_moment_count_once() {
        let backoff = ThrottleBackoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert_eq!(waits, [COOLDOWNS[0]; 20]);
    }
}
