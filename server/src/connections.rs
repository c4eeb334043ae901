//! HTTP/1 server with limits on its connections: in total, as many as this
//! process has files for; per network; and on clients that do not send their
//! request or do not read their response. [`axum::serve`] limits none of these.
//!
//! | module | content |
//! | --- | --- |
//! | [`connection`] | what one connection is doing |
//! | [`connection_limits`] | number of connections, and which one is evicted |
//! | [`stream`] | write timeout |

mod connection;
mod connection_limits;
mod stream;

pub use connection::Connection;
pub use connection_limits::raise_file_limit;

use crate::client::TrustedProxies;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use connection::TrackedResponseBody;
use connection_limits::{ConnectionLimits, LimitReached, max_connections};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use stream::MonitoredStream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceExt, service_fn};

/// Limits on connections.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Maximum number of connections.
    pub max_connections: usize,
    /// Maximum number of connections of one network.
    pub max_connections_per_network: usize,
    /// Maximum time from the start of a connection, or from the previous response,
    /// until the head of a request has arrived.
    pub header_read_timeout: Duration,
    /// Maximum time for which a client may read nothing of what is sent to it.
    pub write_timeout: Duration,
}

impl Default for ConnectionOptions {
    /// As many connections as this process has files for. The head timeout of 75 s
    /// ensures that a proxy which keeps idle connections for 60 s never sends a
    /// request into one that is being closed.
    fn default() -> Self {
        let all = max_connections();
        Self {
            max_connections: all,
            max_connections_per_network: (all / 4).min(2_048),
            header_read_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(20),
        }
    }
}

/// How long a rejected connection is drained, and how many at once.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_CONCURRENT_DRAINS: usize = 64;
/// Maximum number of bytes that a connection buffers in either direction. The
/// head of a request has to fit.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// Maximum number of connections that are closed when no file is left to accept
/// one more.
const MAX_SHED_CONNECTIONS: usize = 16;

/// Maximum number of connections that the kernel queues until they are accepted.
/// Beyond it, the kernel drops their first packet, and a client retries after 1 s.
/// The kernel's own limit, `net.core.somaxconn`, is 4,096 on most systems.
const BACKLOG: u32 = 4_096;

/// Listens on `address`.
///
/// # Errors
/// The address is in use, or not one of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` until `stop`, and then until every request is answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: TrustedProxies,
    options: ConnectionOptions,
    stop: &CancellationToken,
) {
    let limits = ConnectionLimits::new(&options, proxies);
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(MAX_BUFFER_BYTES);
    let connections = TaskTracker::new();
    let drain_permits = Arc::new(Semaphore::new(MAX_CONCURRENT_DRAINS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                handle_accept_error(&error, &limits).await;
                continue;
            }
        };
        let connection = Arc::new(Connection::default());
        let slot = match limits.acquire(peer.ip(), Arc::clone(&connection)) {
            Ok(slot) => slot,
            Err(limit) => {
                let response = rejection_response(limit);
                // Beyond the limit of concurrent drains, the connection is closed
                // without a response.
                if let Ok(permit) = Arc::clone(&drain_permits).try_acquire_owned() {
                    tokio::spawn(async move {
                        let _ = timeout(DRAIN_TIMEOUT, write_and_drain(stream, &response)).await;
                        drop(permit);
                    });
                }
                continue;
            }
        };
        let stream =
            MonitoredStream::new(stream, Arc::clone(&connection), slot, options.write_timeout);
        let (router, known) = (router.clone(), Arc::clone(&connection));
        let service =
            service_fn(move |request| handle_request(router.clone(), request, peer, &known));
        let served = server
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut served = pin!(served);
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                () = connection.ended() => return,
                () = stop.cancelled() => {
                    // A request in progress is answered; an idle connection closes.
                    served.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = served => ended,
                        () = connection.ended() => return,
                    }
                }
            };
            if let Err(error) = ended {
                tracing::trace!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Handles one request and updates the state of its connection.
fn handle_request(
    router: Router,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    connection: &Arc<Connection>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let connection = Arc::clone(connection);
    async move {
        connection.request_started(!request.body().is_end_stream());
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&connection));
        let response = router.oneshot(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            connection.upgraded();
            return Ok(response);
        }
        connection.response_started();
        Ok(response.map(|body| Body::new(TrackedResponseBody::new(body, connection))))
    }
}

/// Ignores connections that ended before they were accepted. After any other
/// error, such as no file being left, closes some connections and waits before
/// the next one is accepted.
async fn handle_accept_error(error: &io::Error, limits: &ConnectionLimits) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "connections can't be accepted");
        limits.shed(MAX_SHED_CONNECTIONS);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Counts the rejection and returns the raw response.
fn rejection_response(limit: LimitReached) -> String {
    let (limit_name, status) = match limit {
        LimitReached::Total => ("connections", "503 Service Unavailable"),
        LimitReached::Network => ("network_connections", "429 Too Many Requests"),
    };
    metrics::counter!(contract::metric::ADMISSION_REJECTIONS, "limit" => limit_name).increment(1);
    format!("HTTP/1.1 {status}\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    // These routes are not part of the server's route table.
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use axum::{extract::WebSocketUpgrade, routing::get};
    use futures_util::StreamExt;
    use tokio::task::JoinHandle;

    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    struct Server {
        port: u16,
        /// Has a permit for each request for `/slow` that has arrived.
        arrived: Arc<Semaphore>,
        /// Each permit releases one response of `/slow`.
        release: Arc<Semaphore>,
        stop: CancellationToken,
        served: JoinHandle<()>,
    }

    async fn server(per_network: usize, head_timeout: Duration) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (arrivals, releases) = (Arc::clone(&arrived), Arc::clone(&release));
        let slow = async move || {
            arrivals.add_permits(1);
            releases.acquire().await.map(|_| "done").unwrap()
        };
        let stop = CancellationToken::new();
        let socket = async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket| while socket.next().await.is_some() {})
        };
        let router = Router::new()
            .route(
                "/",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                    format!("hello {}", peer.ip())
                }),
            )
            .route("/ws", get(socket))
            .route("/slow", get(slow));
        let (end, options) = (
            stop.clone(),
            ConnectionOptions {
                max_connections: 100,
                max_connections_per_network: per_network,
                header_read_timeout: head_timeout,
                write_timeout: TEST_TIMEOUT,
            },
        );
        let proxies = TrustedProxies::new(&[]);
        let served =
            tokio::spawn(async move { serve(listener, router, proxies, options, &end).await });
        Server { port, arrived, release, stop, served }
    }

    impl Server {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
        }

        /// Returns the whole response to a request on a connection of its own.
        async fn get(&self, path: &str) -> String {
            let mut stream = self.connect().await;
            send(&mut stream, path).await;
            rest_of(&mut stream).await
        }
    }

    async fn send(stream: &mut TcpStream, path: &str) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
    }

    /// Reads to the end of the connection; a reset counts as an end.
    async fn rest_of(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let end = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await;
        let _ = end.expect("the connection does not end");
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn one_network_can_not_take_all_connections() {
        let options = ConnectionOptions::default();
        let (total, per_network) = (options.max_connections, options.max_connections_per_network);
        assert!(0 < per_network && per_network <= total / 4, "{per_network} of {total}");
    }

    #[tokio::test]
    async fn incomplete_request_head_times_out() {
        let server = server(10, Duration::from_millis(100)).await;
        assert!(server.get("/").await.ends_with("hello 127.0.0.1"));
        for begun in ["", "GET / HTTP/1.1\r\nHo"] {
            let mut stream = server.connect().await;
            stream.write_all(begun.as_bytes()).await.unwrap();
            assert!(!rest_of(&mut stream).await.contains("hello"), "{begun:?}");
        }
    }

    #[tokio::test]
    async fn websocket_counts_as_a_connection_and_excess_gets_429() {
        let server = server(1, TEST_TIMEOUT).await;
        let url = format!("ws://127.0.0.1:{}/ws", server.port);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let response = server.get("/").await;
        assert!(response.starts_with("HTTP/1.1 429 "), "{response}");
        assert!(response.contains("Retry-After: 5"), "{response}");
        drop(socket);
        let released = async {
            while !server.get("/").await.contains("hello") {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TEST_TIMEOUT, released).await.expect("its slot was not released");
    }

    #[tokio::test]
    async fn shutdown_finishes_requests_and_closes_idle_connections() {
        let server = server(10, TEST_TIMEOUT).await;
        let (mut slow, mut idle) = (server.connect().await, server.connect().await);
        send(&mut slow, "/slow").await;
        idle.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        let mut byte = [0];
        idle.read_exact(&mut byte).await.unwrap();
        let _here = server.arrived.acquire().await.unwrap();
        server.stop.cancel();
        rest_of(&mut idle).await;
        assert!(!server.served.is_finished());
        server.release.add_permits(1);
        assert!(rest_of(&mut slow).await.ends_with("done"));
        timeout(TEST_TIMEOUT, server.served).await.expect("the server does not stop").unwrap();
    }
}
