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

use std::{net::TcpListener, path::Path};

/// A port that nobody listened on just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().is_ok_and(|about| about.uid() == 0)
}
