//! Timeout of one transfer, which a slow peer can't extend for ever.

use futures_util::FutureExt;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Minimum mean speed of a transfer that has waited for its peer, in bytes per
/// second. Without it, a client that sends or reads single bytes would occupy a
/// permit for hours.
const MIN_BYTES_PER_SECOND: f64 = 4096.0;

/// Limits how long a peer may make one transfer wait: at once to the idle timeout,
/// and in total to what the bytes that were transferred earn at the minimum speed.
pub struct TransferTimeout {
    idle_timeout: Duration,
    /// Bytes that prove the speed of the peer.
    bytes: u64,
    /// Time spent waiting for the peer before the current wait. The time that this
    /// side takes does not count.
    waited: Duration,
    /// Start and timer of the current wait.
    current_wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl TransferTimeout {
    /// Lets the peer stall for at most `idle_timeout` at once.
    pub fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, bytes: 0, waited: Duration::ZERO, current_wait: None }
    }

    /// Whether the transfer waits for its peer.
    pub fn is_waiting(&self) -> bool {
        self.current_wait.is_some()
    }

    /// Records that the peer has ended the current wait, if there was one.
    pub fn end_wait(&mut self) {
        if let Some((since, _)) = self.current_wait.take() {
            self.waited += since.elapsed();
        }
    }

    /// Records bytes that the peer has sent.
    pub fn record_received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Records bytes that the kernel has taken for the peer.
    pub fn record_sent(&mut self, bytes: usize) {
        self.end_wait();
        // Bytes that fit into the kernel's buffers at once prove no speed.
        if self.waited > Duration::ZERO {
            self.bytes += bytes as u64;
        }
    }

    /// Starts over for the next transfer.
    pub fn reset(&mut self) {
        *self = Self::new(self.idle_timeout);
    }

    /// Begins or continues a wait for the peer. It is ready when the peer has made
    /// the transfer wait for too long.
    #[allow(clippy::cast_precision_loss)]
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let earned = Duration::from_secs_f64(self.bytes as f64 / MIN_BYTES_PER_SECOND);
        let left = (self.idle_timeout + earned).saturating_sub(self.waited).min(self.idle_timeout);
        let (_, wait) = self.current_wait.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        wait.poll_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{advance, timeout};

    const SILENCE: Duration = Duration::from_secs(20);

    /// Records a write of `bytes` after each `pause`, at most `times`. Returns the
    /// time until the timeout, if it expires.
    async fn write_until_timeout(bytes: usize, pause: Duration, times: usize) -> Option<Duration> {
        let (start, mut write) = (Instant::now(), TransferTimeout::new(SILENCE));
        for _ in 0..times {
            if timeout(pause, poll_fn(|cx| write.poll_expired(cx))).await.is_ok() {
                return Some(start.elapsed());
            }
            write.record_sent(bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_reads_nothing_times_out_and_slow_one_does_not() {
        assert_eq!(write_until_timeout(0, Duration::from_secs(3600), 1).await, Some(SILENCE));
        assert_eq!(write_until_timeout(100_000, SILENCE / 2, 100).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn trickling_client_times_out() {
        let ended = write_until_timeout(1, SILENCE / 20, 1_000).await;
        assert!(ended.is_some_and(|ended| ended < SILENCE * 2), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn buffered_bytes_do_not_extend_the_timeout() {
        let mut write = TransferTimeout::new(SILENCE);
        write.record_sent(100_000_000);
        for _ in 0..39 {
            let expired = poll_fn(|cx| Poll::Ready(write.poll_expired(cx))).await;
            if expired.is_ready() {
                return;
            }
            advance(SILENCE / 20).await;
            write.record_sent(1);
        }
        panic!("the write does not time out");
    }
}
