//! Servers of a test's own, on ports and in folders of their own.
//!
//! A run without a server fails: a skipped suite would look like a passed one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod postgres;
mod proxy;
mod rabbit;
mod redis;
mod small_disk;
mod tethered;

pub use postgres::PostgresNode;
pub use proxy::{Mode, Proxy};
pub use rabbit::RabbitNode;
pub use redis::RedisNode;
pub use small_disk::SmallDisk;
pub use tethered::Tethered;

use std::{
    net::TcpListener,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// A port that nobody listened on just now. Below the range from which the
/// kernel takes the ports of outgoing connections (32768 and up on Linux): a
/// server that listens a second later would find one of those taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests of other processes begin elsewhere.
    let first = std::process::id().wrapping_mul(101);
    loop {
        let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(next % 22_000).unwrap();
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().is_ok_and(|about| about.uid() == 0)
}
