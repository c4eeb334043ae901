//! Sockets over TCP, with short times between pings, and more time for answers, which the client
//! may not send at once on a slow machine.

use super::{HeartbeatTimes, Hub, socket::SocketSession};
use crate::session::{AuthMethod, CurrentUser};
use axum::{Router, extract::WebSocketUpgrade, routing::any};
use contract::{
    api::TokenScope,
    websocket::{CloseCode, ServerFrame},
};
use engine::{
    Engine,
    clock::ManualClock,
    event_bus::embedded::EmbeddedEventBus,
    limiter::{Limiters, embedded::EmbeddedLimiter},
    relay::RelayWaker,
    store::Store,
};
use futures_util::{SinkExt, StreamExt};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use tokio_util::sync::CancellationToken;

const TIMES: HeartbeatTimes = HeartbeatTimes {
    ping_interval: Duration::from_millis(200),
    pong_timeout: Duration::from_secs(3),
};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket of a signed-in user at a hub with [`TIMES`], and says hello. The time is that
/// just before the connection, and the folder that of the database.
async fn open_socket() -> (Client, Instant, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
    let identity = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap();
    store.accounts.open_session("laptop", identity.user, "hash", i64::MAX).await.unwrap();
    let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
    let event_bus = Arc::new(EmbeddedEventBus::default());
    let engine = Engine::new(store, event_bus, RelayWaker::default(), limiters, Vec::new());
    let hub = Hub { heartbeat_times: TIMES, ..Hub::new(engine, CancellationToken::new()) };
    let user = CurrentUser {
        identity,
        auth_method: AuthMethod::Cookie,
        credential_hash: "laptop".into(),
        scope: TokenScope::Admin,
        token: None,
    };
    let connect = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |socket| SocketSession::run(hub, user, socket))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // A test needs no checks of origin and identity.
    #[allow(clippy::disallowed_methods)]
    let router = Router::new().route("/ws", any(connect));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let start = Instant::now();
    let (mut client, _) =
        tokio_tungstenite::connect_async(format!("ws://{address}/ws")).await.unwrap();
    client.send(Message::text(r#"{"type":"hello","v":1}"#)).await.unwrap();
    (client, start, folder)
}

/// Reads until the server closes the socket, and returns the close code. Answers the
/// first `answers` pings.
async fn read_to_close(client: &mut Client, mut answers: u32) -> u16 {
    loop {
        match client.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let frame: ServerFrame = serde_json::from_str(&text).unwrap();
                if matches!(frame, ServerFrame::Ping { .. }) && answers > 0 {
                    answers -= 1;
                    client.send(Message::text(r#"{"type":"pong"}"#)).await.unwrap();
                }
            }
            Message::Close(frame) => return frame.unwrap().code.into(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn socket_whose_client_answers_no_ping_is_closed() {
    let (mut client, start, _folder) = open_socket().await;
    assert_eq!(read_to_close(&mut client, 0).await, CloseCode::TooSlow.code());
    let took = start.elapsed();
    let due = TIMES.ping_interval + TIMES.pong_timeout;
    assert!(took >= due, "closed before the answer was due: {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn socket_stays_open_as_long_as_its_client_answers() {
    let (mut client, start, _folder) = open_socket().await;
    assert_eq!(read_to_close(&mut client, 6).await, CloseCode::TooSlow.code());
    // Seven pings, of which the last one was not answered.
    let took = start.elapsed();
    assert!(took >= TIMES.ping_interval * 7 + TIMES.pong_timeout, "{took:?}");
}
