//! Connections: as many as this process has files for, of which a network has
//! its share, and none that keeps its request to itself or does not take its
//! answer. [`axum::serve`] bounds neither.
//!
//! | module | content |
//! | --- | --- |
//! | [`connection`] | what one connection is doing |
//! | [`connection_limits`] | how many there are, and which one is ended for another |
//! | [`stream`] | time-outs of writing |

mod connection;
mod connection_limits;
mod stream;

pub use connection::Connection;
pub use connection_limits::raise_file_limit;

use crate::client::Proxies;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use connection::AnswerBody;
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
pub struct Bounds {
    /// Largest number of all together, and of one network.
    pub all: usize,
    pub own: usize,
    /// Longest time from the start of a connection, or from the answer before,
    /// until the head of a request is there.
    pub head: Duration,
    /// Longest time that a client may take nothing of what is sent to it.
    pub write: Duration,
}

impl Default for Bounds {
    /// What this process has files for. A proxy that keeps connections for 60 s
    /// never sends a request into one that is just being closed.
    fn default() -> Self {
        let all = max_connections();
        Self {
            all,
            own: (all / 4).min(2_048),
            head: Duration::from_secs(75),
            write: Duration::from_secs(20),
        }
    }
}

/// How long a refused connection is drained, and how many at once.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELLS: usize = 64;
/// Bytes that a connection buffers in either direction. The head of a request
/// has to fit.
const BUFFER: usize = 64 * 1024;
/// Connections that are ended where no file is left to accept one more.
const RELIEVED: usize = 16;

/// Connections that the kernel keeps until they are accepted. Past that it drops
/// their first packet, and a client tries again after 1 s. The kernel's own
/// limit, `net.core.somaxconn`, is 4,096 on most systems.
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

/// Serves until `stop`, and then until every request is answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: Proxies,
    bounds: Bounds,
    stop: &CancellationToken,
) {
    let limits = ConnectionLimits::new(&bounds, proxies);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(BUFFER);
    let connections = TaskTracker::new();
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                recover(&error, &limits).await;
                continue;
            }
        };
        let connection = Arc::new(Connection::default());
        let slot = match limits.take(peer.ip(), Arc::clone(&connection)) {
            Ok(slot) => slot,
            Err(limit) => {
                let words = refusal(limit);
                // Past so many at once they learn no more than that it ended.
                if let Ok(turn) = Arc::clone(&farewells).try_acquire_owned() {
                    tokio::spawn(async move {
                        let _ = timeout(FAREWELL, say(stream, &words)).await;
                        drop(turn);
                    });
                }
                continue;
            }
        };
        let stream = MonitoredStream::new(stream, Arc::clone(&connection), slot, bounds.write);
        let (router, known) = (router.clone(), Arc::clone(&connection));
        let service = service_fn(move |request| answer(router.clone(), request, peer, &known));
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
                    // The request under way is answered, an idle one ends.
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

/// Answers one request, and keeps its connection informed of how far it is.
fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    connection: &Arc<Connection>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let connection = Arc::clone(connection);
    async move {
        connection.request_began(!request.body().is_end_stream());
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&connection));
        let response = router.oneshot(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            connection.upgraded();
            return Ok(response);
        }
        connection.answer_began();
        Ok(response.map(|body| Body::new(AnswerBody::new(body, connection))))
    }
}

/// Waits before the next connection is accepted. A connection that ended
/// before it was accepted is nobody's concern; where no file is left, some
/// connections are ended.
async fn recover(error: &io::Error, limits: &ConnectionLimits) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "no connection can be accepted");
        limits.relieve(RELIEVED);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Counts the refusal.
fn refusal(limit: LimitReached) -> String {
    let (bound, status) = match limit {
        LimitReached::All => ("connections", "503 Service Unavailable"),
        LimitReached::Network => ("address_connections", "429 Too Many Requests"),
    };
    metrics::counter!("meanwhile_overload_refusals_total", "bound" => bound).increment(1);
    format!("HTTP/1.1 {status}\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// Were the connection closed with a request unread, its sender would see a
/// reset and not the answer.
async fn say(mut stream: TcpStream, words: &str) -> io::Result<()> {
    stream.write_all(words.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    // No path of these is one of the server's.
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use axum::{extract::WebSocketUpgrade, routing::get};
    use futures_util::StreamExt;
    use tokio::task::JoinHandle;

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Server {
        port: u16,
        /// Requests for `/slow` that are here.
        came: Arc<Semaphore>,
        /// Their answers wait for it.
        go: Arc<Semaphore>,
        stop: CancellationToken,
        served: JoinHandle<()>,
    }

    async fn server(own: usize, head: Duration) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (here, wait) = (Arc::clone(&came), Arc::clone(&go));
        let slow = async move || {
            here.add_permits(1);
            wait.acquire().await.map(|_| "done").unwrap()
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
        let (end, bounds) = (stop.clone(), Bounds { all: 100, own, head, write: PATIENCE });
        let proxies = Proxies::new(&[]);
        let served =
            tokio::spawn(async move { serve(listener, router, proxies, bounds, &end).await });
        Server { port, came, go, stop, served }
    }

    impl Server {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
        }

        /// The whole answer on a connection of its own.
        async fn ask(&self, path: &str) -> String {
            let mut stream = self.connect().await;
            send(&mut stream, path).await;
            rest_of(&mut stream).await
        }
    }

    async fn send(stream: &mut TcpStream, path: &str) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
    }

    /// All up to the end; a reset is one too.
    async fn rest_of(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let _ = end.expect("the connection does not end");
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn no_address_can_have_all() {
        let Bounds { all, own, .. } = Bounds::default();
        assert!(0 < own && own <= all / 4, "{own} of {all}");
    }

    #[tokio::test]
    async fn who_keeps_a_request_to_themselves_is_sent_away() {
        let server = server(10, Duration::from_millis(100)).await;
        assert!(server.ask("/").await.ends_with("hello 127.0.0.1"));
        for begun in ["", "GET / HTTP/1.1\r\nHo"] {
            let mut stream = server.connect().await;
            stream.write_all(begun.as_bytes()).await.unwrap();
            assert!(!rest_of(&mut stream).await.contains("hello"), "{begun:?}");
        }
    }

    #[tokio::test]
    async fn a_socket_keeps_its_place_and_past_its_share_an_address_is_told() {
        let server = server(1, PATIENCE).await;
        let url = format!("ws://127.0.0.1:{}/ws", server.port);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let told = server.ask("/").await;
        assert!(told.starts_with("HTTP/1.1 429 ") && told.contains("Retry-After: 5"), "{told}");
        drop(socket);
        let free = async {
            while !server.ask("/").await.contains("hello") {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, free).await.expect("its place is not free again");
    }

    #[tokio::test]
    async fn a_server_that_stops_answers_what_it_was_asked_and_ends_what_is_idle() {
        let server = server(10, PATIENCE).await;
        let (mut slow, mut idle) = (server.connect().await, server.connect().await);
        send(&mut slow, "/slow").await;
        idle.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        let mut byte = [0];
        idle.read_exact(&mut byte).await.unwrap();
        let _here = server.came.acquire().await.unwrap();
        server.stop.cancel();
        rest_of(&mut idle).await;
        assert!(!server.served.is_finished());
        server.go.add_permits(1);
        assert!(rest_of(&mut slow).await.ends_with("done"));
        timeout(PATIENCE, server.served).await.expect("it serves on").unwrap();
    }
}
