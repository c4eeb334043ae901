//! A connection that breaks after so many bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

const CUT: &str = "cut";

/// Reads `left` bytes and then fails; dropped, it resets the connection
/// instead of closing it.
pub struct Brittle {
    inner: TcpStream,
    left: usize,
}

impl Brittle {
    pub fn new(inner: TcpStream, left: usize) -> io::Result<Self> {
        inner.set_zero_linger()?;
        Ok(Self { inner, left })
    }
}

/// Whether it failed because the bytes were used up.
pub fn is_cut(error: &anyhow::Error) -> bool {
    format!("{error:#}").ends_with(CUT)
}

impl AsyncRead for Brittle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 2048];
        let most = self.left.min(buffer.remaining()).min(bytes.len());
        if most == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, CUT)));
        }
        let mut part = ReadBuf::new(&mut bytes[..most]);
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut part))?;
        self.left -= part.filled().len();
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Brittle {
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
