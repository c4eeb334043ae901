//! The stream of one connection, with a time-out of its own for writing.
//!
//! A client that takes nothing of an answer would keep the answer in memory,
//! and its request's place, for as long as it likes. So a write has a time-out
//! as a read has one, and the kernel is told the same for what it keeps.

use super::{Connection, connection_limits::ConnectionSlot};
use futures_util::FutureExt;
use socket2::SockRef;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// Least mean speed at which an answer is taken once its client makes it wait,
/// bytes a second.
const PACE: f64 = 4096.0;
/// Bytes that the kernel keeps of what was not sent yet. A larger buffer
/// would hide for long that nothing is taken. See `TCP_NOTSENT_LOWAT` in
/// [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html).
const UNSENT: u32 = 64 * 1024;

/// A TCP stream that counts among the open connections, also when it becomes a
/// WebSocket.
pub struct MonitoredStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    timeout: WriteTimeout,
    _slot: ConnectionSlot,
}

impl MonitoredStream {
    /// `silence`: how long the client may take nothing of what is there to
    /// send.
    pub fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        slot: ConnectionSlot,
        silence: Duration,
    ) -> Self {
        // Facts are small and follow each other closely: Nagle's algorithm would
        // hold each back until the one before is acknowledged, up to 40 ms.
        let set = stream.set_nodelay(true).and_then(|()| {
            let socket = SockRef::from(&stream);
            socket.set_tcp_notsent_lowat(UNSENT)?;
            // What hyper has handed over and the client does not take: the
            // kernel would keep it, and the connection, for ever.
            socket.set_tcp_user_timeout(Some(silence))
        });
        if let Err(error) = set {
            tracing::debug!(%error, "a connection keeps the kernel's own settings");
        }
        Self { stream, connection, timeout: WriteTimeout::new(silence), _slot: slot }
    }

    /// Passes on what became of a write, and keeps the time that it waits.
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(wrote) => {
                if self.timeout.is_waiting() {
                    self.connection.set_blocked(false);
                }
                self.timeout.wrote(*wrote.as_ref().unwrap_or(&0));
                Poll::Ready(wrote)
            }
            Poll::Pending => {
                if !self.timeout.is_waiting() {
                    self.connection.set_blocked(true);
                }
                ready!(self.timeout.poll_expired(cx));
                metrics::counter!("meanwhile_unread_answers_total").increment(1);
                let error = "the client takes nothing of what is sent to it";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
            }
        }
    }
}

impl Drop for MonitoredStream {
    fn drop(&mut self) {
        // What the client did not take in time is given up, in the kernel too.
        if self.timeout.is_waiting() {
            let _ = self.stream.set_zero_linger();
        }
        self.connection.closed();
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when nothing is left in the buffer of whoever writes.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.connection.flushed() {
            self.timeout.reset();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How long a client may make one answer wait.
struct WriteTimeout {
    silence: Duration,
    /// Bytes that were taken since the client first made this answer wait.
    taken: u64,
    /// Time that this answer has waited before the present wait.
    waited: Duration,
    /// Start and end of the present wait.
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl WriteTimeout {
    fn new(silence: Duration) -> Self {
        Self { silence, taken: 0, waited: Duration::ZERO, wait: None }
    }

    fn is_waiting(&self) -> bool {
        self.wait.is_some()
    }

    fn wrote(&mut self, bytes: usize) {
        if let Some((since, _)) = self.wait.take() {
            self.waited += since.elapsed();
        }
        // What fits into the kernel's buffers at once shows no speed.
        if self.waited > Duration::ZERO {
            self.taken += bytes as u64;
        }
    }

    /// The next answer begins without debts and without credit.
    fn reset(&mut self) {
        *self = Self::new(self.silence);
    }

    #[allow(clippy::cast_precision_loss)]
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let earned = Duration::from_secs_f64(self.taken as f64 / PACE);
        let left = (self.silence + earned).saturating_sub(self.waited).min(self.silence);
        let (_, wait) = self.wait.get_or_insert_with(|| {
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

    /// Takes `bytes` after each `pause` until the time is over, `times` at most.
    async fn takes(bytes: usize, pause: Duration, times: usize) -> Option<Duration> {
        let (start, mut write) = (Instant::now(), WriteTimeout::new(SILENCE));
        for _ in 0..times {
            if timeout(pause, poll_fn(|cx| write.poll_expired(cx))).await.is_ok() {
                return Some(start.elapsed());
            }
            write.wrote(bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        assert_eq!(takes(0, Duration::from_secs(3600), 1).await, Some(SILENCE));
        assert_eq!(takes(100_000, SILENCE / 2, 100).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_single_bytes_is_given_up_soon() {
        let ended = takes(1, SILENCE / 20, 1_000).await;
        assert!(ended.is_some_and(|ended| ended < SILENCE * 2), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fits_into_buffers_at_once_earns_no_time() {
        let mut write = WriteTimeout::new(SILENCE);
        write.wrote(100_000_000);
        for _ in 0..39 {
            let expired = poll_fn(|cx| Poll::Ready(write.poll_expired(cx))).await;
            if expired.is_ready() {
                return;
            }
            advance(SILENCE / 20).await;
            write.wrote(1);
        }
        panic!("it waits on");
    }
}
