//! HTTP/1 server with limits on its connections: in total, as many as this
//! process has files for; per network; and on clients that do not send their
//! request or do not read their response. [`axum::serve`] limits none of these.
//!
//! | module | content |
//! | --- | --- |
//! | `connection` | what one connection is doing |
//! | `connection_limits` | number of connections, and which one is evicted |
//! | `file_limit` | number of connections that this process has files for |
//! | `rejection` | what a connection over a limit receives |
//! | `stream` | write timeout |

mod connection;
mod connection_limits;
mod file_limit;
mod rejection;
mod stream;

pub(crate) use connection::Connection;
pub use file_limit::raise_file_limit;

use crate::client_address::TrustedProxies;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use connection::TrackedResponseBody;
use connection_limits::ConnectionLimits;
use file_limit::max_connections;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rejection::Rejector;
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use stream::MonitoredStream;
use tokio::{
    net::{TcpListener, TcpSocket},
    time::sleep,
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
    /// As many connections as this process has files for. The head timeout of 100 s
    /// ensures that a client which keeps idle connections for up to 90 s, as reqwest
    /// and Go do, never sends a request into one that is being closed. Most proxies
    /// keep them for 60 s.
    fn default() -> Self {
        let all = max_connections();
        Self {
            max_connections: all,
            max_connections_per_network: (all / 4).min(2_048),
            header_read_timeout: Duration::from_secs(100),
            write_timeout: Duration::from_secs(20),
        }
    }
}

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

/// Serves `router` until `stop`, and then until every request is answered. Requests
/// have their peer's address as [`ConnectInfo`]; `proxies` are exempt from the limit
/// per network.
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
    let rejector = Rejector::default();
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
                rejector.reject(stream, limit);
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
