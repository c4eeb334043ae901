//! Response to a connection that is over a limit.

use super::connection_limits::LimitReached;
use contract::metric;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// Maximum time for which a rejected connection is drained.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of rejected connections that are drained at once.
const MAX_CONCURRENT_DRAINS: usize = 64;

/// Answers connections over a limit.
pub struct Rejector {
    drain_permits: Arc<Semaphore>,
}

impl Default for Rejector {
    fn default() -> Self {
        Self { drain_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_DRAINS)) }
    }
}

impl Rejector {
    /// Counts the rejection and answers it in a task of its own. Beyond the limit of
    /// concurrent drains, the connection is closed without a response.
    pub fn reject(&self, stream: TcpStream, limit: LimitReached) {
        let (limit_name, status) = match limit {
            LimitReached::Total => ("connections", "503 Service Unavailable"),
            LimitReached::Network => ("network_connections", "429 Too Many Requests"),
        };
        metrics::counter!(metric::ADMISSION_REJECTIONS, "limit" => limit_name).increment(1);
        let response = format!(
            "HTTP/1.1 {status}\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        if let Ok(permit) = Arc::clone(&self.drain_permits).try_acquire_owned() {
            tokio::spawn(async move {
                let _ = timeout(DRAIN_TIMEOUT, write_and_drain(stream, &response)).await;
                drop(permit);
            });
        }
    }
}

/// Writes `response`, then reads the rest of the request: if the connection were
/// closed with a request unread, the client would see a reset, not the response.
async fn write_and_drain(mut stream: TcpStream, response: &str) -> io::Result<()> {
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
