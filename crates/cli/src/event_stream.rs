//! The WebSocket `/ws`: facts in their order, without gaps, whatever happens to the connection.

use crate::{
    api_client::{CONNECT_TIMEOUT, innermost},
    error::{Error, Refusal},
    profile::Connection,
};
use contract::websocket::{
    ClientFrame, CloseCode, IDLE_TIMEOUT_MS, PROTOCOL_VERSION, ReconnectPolicy, ServerFrame,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tls::TlsFailure;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
    },
};

/// Time before the first new connection after one was lost; it doubles with each failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Maximum time between two attempts to connect.
const MAX_BACKOFF: Duration = Duration::from_secs(15);
/// Maximum time without a frame, after which the connection counts as lost.
const IDLE_TIMEOUT: Duration = Duration::from_millis(IDLE_TIMEOUT_MS);

/// What the stream has to say.
#[derive(Debug)]
pub enum StreamEvent {
    /// The stream is connected.
    Connected {
        /// Whether nothing was missed since the position of the stream. The first time there
        /// was no position yet.
        recovered: bool,
    },
    /// The connection is lost. The stream connects again by itself.
    Lost {
        /// What went wrong.
        reason: String,
    },
    /// An entry of the journal.
    Fact(FactFrame),
    /// Another frame of a kind that this release knows.
    Other(Box<ServerFrame>),
}

/// An entry of the journal as the API sends it.
#[derive(Clone, Debug)]
pub struct FactFrame {
    /// Sequence number.
    pub seq: i64,
    /// The fact as JSON.
    pub json: Value,
}

/// Position of the stream in the user's journal.
#[derive(Clone, Debug, Default)]
struct Position {
    /// Epoch of the database that `after` belongs to.
    epoch: Option<String>,
    /// Last sequence number that was passed on.
    after: Option<i64>,
}

type Socket = WebSocketStream<Box<dyn Connected>>;

/// A time without a connection.
struct Outage {
    since: Instant,
    /// Time before the next attempt to connect.
    backoff: Duration,
}

/// A stream of a user's facts.
pub struct EventStream {
    connection: Connection,
    position: Position,
    socket: Option<Socket>,
    outage: Option<Outage>,
    /// Maximum time of an outage, after which the stream ends.
    max_offline: Duration,
}

/// Result of waiting once.
enum Step {
    Event(StreamEvent),
    /// Something that concerns the stream only.
    Nothing,
    /// The connection is lost, or can't be opened.
    Lost {
        reason: String,
        policy: ReconnectPolicy,
    },
}

impl Step {
    fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), policy: ReconnectPolicy::AfterBackoff }
    }
}

impl EventStream {
    /// Returns a stream that begins after the fact with the sequence number `after`, or at the
    /// end of the journal.
    pub fn new(connection: Connection, after: Option<i64>, max_offline: Duration) -> Self {
        let position = Position { epoch: None, after };
        Self { connection, position, socket: None, outage: None, max_offline }
    }

    /// Returns the sequence number of the last fact that was passed on, or of the end of the
    /// journal when the stream began.
    pub fn position(&self) -> Option<i64> {
        self.position.after
    }

    /// Gives up the connection, because a request beside it failed. The stream connects again.
    ///
    /// # Errors
    /// The server could not be reached for the maximum time.
    pub fn disconnect(&mut self, reason: String) -> Result<Option<StreamEvent>, Error> {
        self.record_loss(reason, ReconnectPolicy::AfterBackoff)
    }

    /// Waits for the next event. An outage is one event, however often it is tried to connect.
    ///
    /// # Errors
    /// The server refuses the stream, or could not be reached for the maximum time.
    pub async fn next(&mut self) -> Result<StreamEvent, Error> {
        loop {
            match self.step().await? {
                Step::Event(event) => return Ok(event),
                Step::Nothing => {}
                Step::Lost { reason, policy } => {
                    if let Some(event) = self.record_loss(reason, policy)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Error> {
        let Some(socket) = &mut self.socket else { return self.connect().await };
        let message = match timeout(IDLE_TIMEOUT, socket.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Ok(Step::lost(reason(&error))),
            Ok(None) => return Ok(Step::lost("it was closed")),
            Err(_) => return Ok(Step::lost("nothing arrives")),
        };
        match message {
            Message::Text(text) => Ok(self.receive(&text).await),
            Message::Close(frame) => closed(frame.map(|frame| frame.code.into())),
            _ => Ok(Step::Nothing),
        }
    }

    /// Opens a socket, and says where to continue.
    async fn connect(&mut self) -> Result<Step, Error> {
        if let Some(outage) = &self.outage {
            sleep(outage.backoff).await;
        }
        match timeout(CONNECT_TIMEOUT, open(&self.connection)).await {
            Ok(Ok(socket)) => {
                self.socket = Some(socket);
                let Position { epoch, after } = self.position.clone();
                self.send(&ClientFrame::Hello { v: PROTOCOL_VERSION, epoch, after }).await;
                Ok(Step::Nothing)
            }
            Ok(Err(ConnectError::Refused(refusal))) => Err(Error::Refused(refusal)),
            Ok(Err(ConnectError::Usage(why))) => Err(Error::Usage(why)),
            Ok(Err(ConnectError::Failed(reason))) => Ok(Step::lost(reason)),
            Err(_) => Ok(Step::lost("it did not answer in time")),
        }
    }

    /// Takes a frame. Frames of kinds that this release doesn't know are ignored, but for the
    /// position of a fact.
    async fn receive(&mut self, text: &str) -> Step {
        let Ok(mut json) = serde_json::from_str::<Value>(text) else { return Step::Nothing };
        if json["type"] == "fact" {
            let Some(seq) = json["seq"].as_i64() else { return Step::Nothing };
            if let Some(fields) = json.as_object_mut() {
                // The journal of the API has facts without it.
                fields.remove("type");
            }
            self.position.after = Some(seq);
            return Step::Event(StreamEvent::Fact(FactFrame { seq, json }));
        }
        match serde_json::from_value(json) {
            Ok(ServerFrame::Welcome { epoch, seq, recovered, .. }) => {
                let after = self.position.after.filter(|_| recovered).unwrap_or(seq);
                self.position = Position { epoch: Some(epoch), after: Some(after) };
                self.outage = None;
                Step::Event(StreamEvent::Connected { recovered })
            }
            Ok(ServerFrame::Ping { .. }) => {
                self.send(&ClientFrame::Pong).await;
                Step::Nothing
            }
            Ok(frame) => Step::Event(StreamEvent::Other(Box::new(frame))),
            Err(_) => Step::Nothing,
        }
    }

    /// Sends a frame. That it can't be sent is noticed by the next read.
    async fn send(&mut self, frame: &ClientFrame) {
        let text = serde_json::to_string(frame).unwrap_or_default();
        if let Some(socket) = &mut self.socket {
            let _ = timeout(IDLE_TIMEOUT, socket.send(Message::text(text))).await;
        }
    }

    /// Begins an outage, or prolongs it. Returns an event if it begins.
    fn record_loss(
        &mut self,
        reason: String,
        policy: ReconnectPolicy,
    ) -> Result<Option<StreamEvent>, Error> {
        self.socket = None;
        match &mut self.outage {
            None => {
                let is_immediate = policy == ReconnectPolicy::Immediately;
                let backoff = if is_immediate { Duration::ZERO } else { FIRST_BACKOFF };
                self.outage = Some(Outage { since: Instant::now(), backoff });
                Ok(Some(StreamEvent::Lost { reason }))
            }
            Some(outage) => {
                outage.backoff = (outage.backoff * 2).clamp(FIRST_BACKOFF, MAX_BACKOFF);
                if outage.since.elapsed() + outage.backoff <= self.max_offline {
                    return Ok(None);
                }
                Err(Error::Unreachable { url: self.connection.url().to_owned(), reason })
            }
        }
    }
}

/// Returns what follows from the code of a close frame.
///
/// # Errors
/// The server wants no other connection.
fn closed(code: Option<u16>) -> Result<Step, Error> {
    match code.map_or(ReconnectPolicy::AfterBackoff, CloseCode::reconnect_policy) {
        ReconnectPolicy::Never => Err(Error::Declined(
            match code {
                Some(code) if code == CloseCode::SignInRequired.code() => {
                    "The token was revoked or has expired. Create another one on the page \
                     Account, and save it with `meanwhile login`."
                }
                Some(code) if code == CloseCode::TooManyConnections.code() => {
                    "You have too many open pages and streams. Close some."
                }
                _ => "The server does not speak this release's protocol. Use its release.",
            }
            .into(),
        )),
        policy => Ok(Step::Lost { reason: "the server closed it".into(), policy }),
    }
}

/// Why a socket can't be opened.
enum ConnectError {
    /// The server refuses it, now and later.
    Refused(Box<Refusal>),
    /// The authorities that the environment names can't be read.
    Usage(String),
    /// Another attempt may succeed.
    Failed(String),
}

/// Connects to the server, over TLS if its URL says so.
async fn open(connection: &Connection) -> Result<Socket, ConnectError> {
    let failed = |error: &(dyn std::error::Error + 'static)| ConnectError::Failed(reason(error));
    let origin = &connection.origin;
    let host = origin.host_str().unwrap_or_default();
    let port = origin.port_or_known_default().unwrap_or(443);
    // An IPv6 address has brackets in a URL only.
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tcp = TcpStream::connect((name.as_str(), port)).await.map_err(|error| failed(&error))?;
    let _ = tcp.set_nodelay(true);
    let is_tls = origin.scheme() == "https";
    let transport: Box<dyn Connected> = if is_tls {
        let config = tls::https_config().map_err(|error| ConnectError::Usage(error.to_string()))?;
        let name = ServerName::try_from(name).map_err(|error| failed(&error))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        Box::new(stream.map_err(|error| failed(&error))?)
    } else {
        Box::new(tcp)
    };
    let scheme = if is_tls { "wss" } else { "ws" };
    let authority = &origin[url::Position::BeforeHost..url::Position::AfterPort];
    let request = format!("{scheme}://{authority}/ws").into_client_request();
    let mut request = request.map_err(|error| failed(&error))?;
    let bearer = format!("Bearer {}", connection.token.expose());
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|error| failed(&error))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    match client_async(request, transport).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => {
            let status = answer.status().as_u16();
            if status == 429 || status >= 500 {
                return Err(ConnectError::Failed(format!("it answers {}", answer.status())));
            }
            let body = answer.body().as_deref().unwrap_or_default();
            let body = serde_json::from_slice(body).unwrap_or_default();
            Err(ConnectError::Refused(Box::new(Refusal::new(status, body))))
        }
        Err(error) => Err(failed(&error)),
    }
}

fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    TlsFailure::find(error).map_or_else(|| innermost(error), |failure| failure.to_string())
}

/// A connection with or without TLS.
trait Connected: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connected for T {}
