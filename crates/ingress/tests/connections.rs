//! The server answers within its limits, and closes connections that exceed them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::{
    Router,
    extract::{ConnectInfo, WebSocketUpgrade},
    routing::get,
};
use futures_util::StreamExt;
use ingress::{
    client_address::TrustedProxies,
    connections::{ConnectionOptions, serve},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

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
    let served = tokio::spawn(async move { serve(listener, router, proxies, options, &end).await });
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
