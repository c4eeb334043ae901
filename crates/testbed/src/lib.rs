//! Real servers for tests, each on its own port and in its own temporary folder.
//!
//! A test whose server is missing fails: a skipped suite would look like a passed one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod managed_process;
mod postgres;
mod proxy;
mod rabbit;
mod redis;
mod small_disk;

pub use managed_process::ManagedProcess;
pub use postgres::PostgresNode;
pub use proxy::{Proxy, ProxyMode};
pub use rabbit::RabbitNode;
pub use redis::RedisNode;
pub use small_disk::SmallDisk;

use std::{
    net::TcpListener,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

/// Returns a port that is free at the moment. It is below the range from which
/// the kernel takes the ports of outgoing connections (32768 and up on Linux): a
/// server that starts to listen a second later might find one of those in use.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests in other processes start at another port.
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
