//! A connection that breaks after a number of bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

const CUT_MESSAGE: &str = "cut";

/// Reads `bytes_left` bytes and then fails. Dropping it resets the connection
/// instead of closing it.
pub struct BreakingConnection {
    inner: TcpStream,
    bytes_left: usize,
}

impl BreakingConnection {
    pub fn new(inner: TcpStream, bytes_left: usize) -> io::Result<Self> {
        inner.set_zero_linger()?;
        Ok(Self { inner, bytes_left })
    }
}

/// Returns whether the error is this connection's cut.
pub fn is_cut(error: &anyhow::Error) -> bool {
    format!("{error:#}").ends_with(CUT_MESSAGE)
}

impl AsyncRead for BreakingConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 2048];
        let length = self.bytes_left.min(buffer.remaining()).min(bytes.len());
        if length == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, CUT_MESSAGE)));
        }
        let mut part = ReadBuf::new(&mut bytes[..length]);
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut part))?;
        self.bytes_left -= part.filled().len();
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BreakingConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
