//! Places of connections, counted by address.

use super::Bounds;
use crate::{client::Proxies, overload::network};
use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Files that are not connections of browsers: database, broker, bundle.
const OTHER_FILES: usize = 128;
/// More than one process is meant to serve.
const MOST: usize = 20_000;

/// For how many connections this process has files.
pub fn room() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    files(&limits).unwrap_or(1_024).saturating_sub(OTHER_FILES).clamp(OTHER_FILES, MOST)
}

/// The soft limit of
/// [`/proc/pid/limits`](https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html).
fn files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(usize::MAX) } else { soft.parse().ok() }
}

/// Of which bound there is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    All,
    Own,
}

/// Who has how many.
pub struct Places {
    all: usize,
    own: usize,
    proxies: Proxies,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    own: HashMap<IpAddr, usize>,
}

impl Places {
    pub fn new(bounds: &Bounds, proxies: Proxies) -> Self {
        let Bounds { all, own, .. } = *bounds;
        Self { all, own, proxies, taken: Arc::default() }
    }

    /// A trusted proxy's connections are those of many.
    pub fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let own = if self.proxies.trust(address) { usize::MAX } else { self.own };
        let address = network(address.to_canonical());
        let mut taken = lock(&self.taken);
        if taken.all >= self.all {
            return Err(Full::All);
        }
        let count = taken.own.entry(address).or_default();
        if *count >= own {
            return Err(Full::Own);
        }
        *count += 1;
        taken.all += 1;
        Ok(Place { address, taken: Arc::clone(&self.taken) })
    }
}

/// One place; free again when it is dropped.
pub struct Place {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        if let Some(count) = taken.own.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.own.remove(&self.address);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection with its place, which it keeps when it becomes a WebSocket.
pub struct Placed {
    stream: TcpStream,
    _place: Place,
}

impl Placed {
    pub fn new(stream: TcpStream, place: Place) -> Self {
        Self { stream, _place: place }
    }

    pub fn set_nodelay(&self) -> io::Result<()> {
        self.stream.set_nodelay(true)
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn places(all: usize, own: usize, trusted: &[&str]) -> Places {
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Places::new(&Bounds { all, own, head: Duration::ZERO }, Proxies::new(&trusted))
    }

    #[test]
    fn an_address_has_its_share_and_frees_it() {
        let places = places(4, 2, &[]);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.1").ok().unwrap();
        // The same one, as a listener for both families tells it.
        let _second = take("::ffff:192.0.2.1").ok().unwrap();
        assert_eq!(take("192.0.2.1").err(), Some(Full::Own));
        let _other = take("2001:db8::1").ok().unwrap();
        let _same_network = take("2001:db8::2").ok().unwrap();
        assert_eq!(take("192.0.2.9").err(), Some(Full::All));
        drop(first);
        assert!(take("192.0.2.1").is_ok());
    }

    #[test]
    fn a_trusted_proxy_brings_many() {
        let places = places(10, 1, &["10.0.0.0/8"]);
        let many: Vec<_> =
            (0..5).map(|_| places.take("10.1.2.3".parse().unwrap()).ok().unwrap()).collect();
        drop(many);
        assert_eq!(lock(&places.taken).own.len(), 0, "nobody is remembered who is gone");
    }

    #[test]
    fn the_soft_limit_is_read() {
        let line =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   524288   files\n";
        assert_eq!(files(line), Some(1_024));
        assert_eq!(files("Max open files unlimited unlimited files"), Some(usize::MAX));
        assert_eq!(files(""), None);
    }
}
