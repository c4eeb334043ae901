//! What tests and measurements start, and how they talk to it.
//!
//! | module | contents |
//! | --- | --- |
//! | `postgres`, `rabbit`, `redis` | real servers, each on its own port and in its own temporary folder |
//! | `certificates`, `trusted_authority` | certificates that a test makes, and processes that trust them |
//! | `https_server` | an HTTPS server, and connections over TLS |
//! | `json_server`, `vendure`, `moto` | services that others wrote, from npm and PyPI: a plain JSON API, a shop, and AWS without its faults |
//! | `api_schemas` | the published schemas of the API's answers |
//! | `message_schemas`, `rabbit_tap` | the published schemas of all messages, and the messages of a broker |
//! | `otlp_receiver` | a collector of traces, log lines and metrics |
//! | `proxy`, `http_fault_proxy`, `small_disk` | a network, a service and a disk that can fail |
//! | `managed_process` | child processes that do not outlive this one |
//! | `node`, `server_process`, `cluster` | the product: a process, all in this one, or several with servers |
//! | [`api`], [`websocket`] | the product's clients, and the sandbox's |
//! | `allowed_rate` | how fast requests may arrive at a service on a busy host |
//!
//! A test whose server is missing fails: a skipped suite would look like a passed one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod allowed_rate;
pub mod api;
mod api_schemas;
mod certificates;
mod cluster;
mod database;
mod http_fault_proxy;
mod https_server;
mod json_server;
mod managed_process;
mod message_schemas;
mod moto;
mod node;
mod npm;
mod otlp_receiver;
mod postgres;
mod proxy;
mod rabbit;
mod rabbit_tap;
mod redis;
mod server_process;
mod small_disk;
mod trusted_authority;
mod vendure;
pub mod websocket;

pub use allowed_rate::{AllowedRate, MAX_DELAY_ON_BUSY_HOST};
pub use api::ApiClient;
pub use api_schemas::{ApiSchemas, ReceivedAnswer};
pub use certificates::{CertificateAuthority, ServerCertificate};
pub use cluster::{Cluster, ClusterConfig, ClusterOptions};
pub use database::Database;
pub use http_fault_proxy::{HttpFault, HttpFaultProxy};
pub use https_server::{HttpsServer, connect_tls};
pub use json_server::JsonServer;
pub use managed_process::ManagedProcess;
pub use message_schemas::MessageSchemas;
pub use moto::{AccessKey, MotoMachine, MotoServer};
pub use node::{MemoryUsage, Node, Role};
pub use npm::python_command;
pub use otlp_receiver::{OtlpReceiver, ReceivedLog, ReceivedSpan};
pub use postgres::PostgresNode;
pub use proxy::{Proxy, ProxyMode};
pub use rabbit::RabbitNode;
pub use rabbit_tap::RabbitTap;
pub use redis::RedisNode;
pub use server_process::{SandboxConfig, ServerProcess};
pub use small_disk::SmallDisk;
pub use trusted_authority::trusted_authority;
pub use vendure::{VENDURE_PASSWORD, VENDURE_USER, Vendure, VendureProduct, VendureVariant};
pub use websocket::WebSocketClient;

use std::{
    net::TcpListener,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
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

/// Longest that [`wait_until`] waits: nothing takes that long on the slowest machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(180);

/// Waits until `holds` returns true; `what` names the condition in the message of the
/// panic that ends a wait of [`WAIT_TIMEOUT`].
pub async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < WAIT_TIMEOUT, "{what}: not within {WAIT_TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().is_ok_and(|about| about.uid() == 0)
}
