//! TCP stream with a write timeout.
//!
//! A client that does not read a response would occupy its memory and the permit
//! of its request for as long as it likes. So writes time out as reads do, and
//! the kernel gets the same timeout for what it has buffered.

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

/// Minimum mean speed at which a client must read a response once it has made the
/// response wait, in bytes per second.
const MIN_BYTES_PER_SECOND: f64 = 4096.0;
/// Maximum number of unsent bytes that the kernel buffers. A larger buffer would
/// hide for long that the client reads nothing. See `TCP_NOTSENT_LOWAT` in
/// [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html).
const MAX_UNSENT_BYTES: u32 = 64 * 1024;

/// TCP stream with a write timeout. It counts as an open connection until it is
/// dropped, also after it has become a WebSocket.
pub struct MonitoredStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    timeout: WriteTimeout,
    _slot: ConnectionSlot,
}

impl MonitoredStream {
    /// Wraps `stream`; `idle_timeout` is how long the client may read nothing of
    /// what is ready to be sent.
    pub fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        slot: ConnectionSlot,
        idle_timeout: Duration,
    ) -> Self {
        // Facts are small and follow each other closely: Nagle's algorithm would
        // delay each until the one before is acknowledged, up to 40 ms.
        let set = stream.set_nodelay(true).and_then(|()| {
            let socket = SockRef::from(&stream);
            socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
            // Without this, the kernel would keep the connection and everything that
            // the client does not read for ever.
            socket.set_tcp_user_timeout(Some(idle_timeout))
        });
        if let Err(error) = set {
            tracing::debug!(%error, "a connection keeps the default socket options");
        }
        Self { stream, connection, timeout: WriteTimeout::new(idle_timeout), _slot: slot }
    }

    /// Records the result of a write and returns it; a write that waits too long
    /// fails.
    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(result) => {
                if self.timeout.is_waiting() {
                    self.connection.set_blocked(false);
                }
                self.timeout.record_write(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
            Poll::Pending => {
                if !self.timeout.is_waiting() {
                    self.connection.set_blocked(true);
                }
                ready!(self.timeout.poll_expired(cx));
                metrics::counter!(contract::metric::RESPONSE_WRITE_TIMEOUTS).increment(1);
                let error = "the client reads nothing of what is sent to it";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
            }
        }
    }
}

impl Drop for MonitoredStream {
    fn drop(&mut self) {
        // Discards unread data in the kernel, too.
        if self.timeout.is_waiting() {
            let _ = self.stream.set_zero_linger();
        }
        self.connection.release_permits();
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
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.after_write(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.after_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper calls this when its write buffer is empty.
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

/// Limits how long a client may make one response wait.
struct WriteTimeout {
    idle_timeout: Duration,
    /// Bytes that were read since the client first made this response wait.
    bytes_taken: u64,
    /// Time that this response has waited before the current wait.
    waited: Duration,
    /// Start and timer of the current wait.
    current_wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl WriteTimeout {
    fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, bytes_taken: 0, waited: Duration::ZERO, current_wait: None }
    }

    fn is_waiting(&self) -> bool {
        self.current_wait.is_some()
    }

    fn record_write(&mut self, bytes: usize) {
        if let Some((since, _)) = self.current_wait.take() {
            self.waited += since.elapsed();
        }
        // Bytes that fit into the kernel's buffers at once prove no speed.
        if self.waited > Duration::ZERO {
            self.bytes_taken += bytes as u64;
        }
    }

    /// Starts over for the next response.
    fn reset(&mut self) {
        *self = Self::new(self.idle_timeout);
    }

    #[allow(clippy::cast_precision_loss)]
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let earned = Duration::from_secs_f64(self.bytes_taken as f64 / MIN_BYTES_PER_SECOND);
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
        let (start, mut write) = (Instant::now(), WriteTimeout::new(SILENCE));
        for _ in 0..times {
            if timeout(pause, poll_fn(|cx| write.poll_expired(cx))).await.is_ok() {
                return Some(start.elapsed());
            }
            write.record_write(bytes);
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
        let mut write = WriteTimeout::new(SILENCE);
        write.record_write(100_000_000);
        for _ in 0..39 {
            let expired = poll_fn(|cx| Poll::Ready(write.poll_expired(cx))).await;
            if expired.is_ready() {
                return;
            }
            advance(SILENCE / 20).await;
            write.record_write(1);
        }
        panic!("the write does not time out");
    }
}
