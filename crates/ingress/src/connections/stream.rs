//! TCP stream with a write timeout.
//!
//! A client that does not read a response would occupy its memory and the permit
//! of its request for as long as it likes. So writes time out as reads do, and
//! the kernel gets the same timeout for what it has buffered.

use super::{Connection, connection_limits::ConnectionSlot};
use crate::transfer_timeout::TransferTimeout;
use contract::metric;
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
};

/// Maximum number of unsent bytes that the kernel buffers. A larger buffer would
/// hide for long that the client reads nothing. See `TCP_NOTSENT_LOWAT` in
/// [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html).
const MAX_UNSENT_BYTES: u32 = 64 * 1024;

/// TCP stream with a write timeout. It counts as an open connection until it is
/// dropped, also after it has become a WebSocket.
pub struct MonitoredStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    timeout: TransferTimeout,
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
        Self { stream, connection, timeout: TransferTimeout::new(idle_timeout), _slot: slot }
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
                self.timeout.record_sent(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
            Poll::Pending => {
                if !self.timeout.is_waiting() {
                    self.connection.set_blocked(true);
                }
                ready!(self.timeout.poll_expired(cx));
                metrics::counter!(metric::RESPONSE_WRITE_TIMEOUTS).increment(1);
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
