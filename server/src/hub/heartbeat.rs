//! Pings of one socket, and the deadline of the answer.

use contract::websocket::{PING_INTERVAL_S, PONG_TIMEOUT_MS};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

/// When a socket is pinged, and how long its client may take to answer.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatTimes {
    /// Time between two pings.
    pub ping_interval: Duration,
    /// Time within which a ping is answered.
    pub pong_timeout: Duration,
}

impl Default for HeartbeatTimes {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(PING_INTERVAL_S.into()),
            pong_timeout: Duration::from_millis(PONG_TIMEOUT_MS),
        }
    }
}

/// What a socket has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Send a ping.
    Ping,
    /// Close the socket, unless the answer has arrived in the meantime.
    Overdue,
}

/// Pings of one socket, and the deadline of the answer. Without it, a client that
/// vanished without a close would count as connected until TCP gives up, which takes
/// minutes, or for ever if nothing is sent.
pub struct Heartbeat {
    pong_timeout: Duration,
    pings: Interval,
    /// Deadline of the answer to the oldest ping that is unanswered.
    pong_deadline: Option<Instant>,
}

impl Heartbeat {
    pub fn start(times: HeartbeatTimes) -> Self {
        let mut pings = interval_at(Instant::now() + times.ping_interval, times.ping_interval);
        // A socket that was busy for long needs one ping afterwards, not all of them.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { pong_timeout: times.pong_timeout, pings, pong_deadline: None }
    }

    /// Waits until a ping or its answer is due. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Beat {
        let deadline = self.pong_deadline;
        let overdue = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = overdue => Beat::Overdue,
            _ = self.pings.tick() => {
                self.pong_deadline.get_or_insert_with(|| Instant::now() + self.pong_timeout);
                Beat::Ping
            }
        }
    }

    /// Records that the client has answered.
    pub fn record_pong(&mut self) {
        self.pong_deadline = None;
    }

    /// Whether a ping is unanswered.
    pub fn is_waiting(&self) -> bool {
        self.pong_deadline.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn silent_client_is_overdue_within_35_s() {
        let (start, mut heartbeat) = (Instant::now(), Heartbeat::start(HeartbeatTimes::default()));
        assert_eq!(heartbeat.next().await, Beat::Ping);
        assert_eq!(heartbeat.next().await, Beat::Overdue);
        // A second is left for the close frame.
        assert!(start.elapsed() <= Duration::from_secs(34), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_answers_is_pinged_again_and_again() {
        let (start, mut heartbeat) = (Instant::now(), Heartbeat::start(HeartbeatTimes::default()));
        for number in 1..=20 {
            assert_eq!(heartbeat.next().await, Beat::Ping);
            assert_eq!(start.elapsed().as_secs(), number * u64::from(PING_INTERVAL_S));
            advance(Duration::from_secs(5)).await;
            heartbeat.record_pong();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn next_ping_does_not_extend_the_deadline_of_an_unanswered_one() {
        let seconds = Duration::from_secs;
        let times = HeartbeatTimes { ping_interval: seconds(5), pong_timeout: seconds(12) };
        let (start, mut heartbeat) = (Instant::now(), Heartbeat::start(times));
        for _ in 0..3 {
            assert_eq!(heartbeat.next().await, Beat::Ping);
        }
        assert_eq!(heartbeat.next().await, Beat::Overdue);
        assert_eq!(start.elapsed(), seconds(17));
    }
}
