//! A client of `/ws`.

use crate::{api::ApiClient, message_schemas::MessageSchemas};
use anyhow::{Context, bail};
use contract::{
    JobId,
    fact::{Fact, FactKind},
    websocket::{ClientFrame, PROTOCOL_VERSION, ServerFrame},
};
use futures_util::{SinkExt, StreamExt};
use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// Position of a client in the stream of facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPosition {
    pub epoch: Option<String>,
    pub seq: Option<i64>,
}

/// A frame and the time at which it was received.
pub struct ReceivedFrame {
    /// Time since 1970, by the clock that the server's own times use.
    pub received_at: Duration,
    pub frame: ServerFrame,
}

/// Error: the server closed the socket, with this code if it sent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketClosed(pub Option<u16>);

impl fmt::Display for SocketClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server closed the socket: {:?}", self.0)
    }
}

impl Error for SocketClosed {}

/// An open socket that has sent `hello`.
pub struct WebSocketClient<S>(WebSocketStream<S>);

impl WebSocketClient<TcpStream> {
    pub async fn open(api: &ApiClient, position: StreamPosition) -> anyhow::Result<Self> {
        Self::open_on(connect_tcp(api).await?, api, position).await
    }

    /// Opens a socket at the head of the journal, and returns it with that position.
    pub async fn open_at_head(api: &ApiClient) -> anyhow::Result<(Self, StreamPosition)> {
        let mut stream = Self::open(api, StreamPosition::default()).await?;
        match stream.next_frame().await?.frame {
            ServerFrame::Welcome { epoch, seq, .. } => {
                Ok((stream, StreamPosition { epoch: Some(epoch), seq: Some(seq) }))
            }
            frame => bail!("the first frame is no welcome: {frame:?}"),
        }
    }
}

/// Checks a frame against its published schema. Measurements, which are release builds, go
/// without: it would take part of the time that they measure.
fn check_frame(text: &str) -> anyhow::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    MessageSchemas::published().check("server_frame", &serde_json::from_str(text)?)
}

/// Connects to the server, without Nagle's delay.
pub async fn connect_tcp(api: &ApiClient) -> anyhow::Result<TcpStream> {
    let connection = TcpStream::connect(("127.0.0.1", api.port)).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketClient<S> {
    pub async fn open_on(
        connection: S,
        api: &ApiClient,
        position: StreamPosition,
    ) -> anyhow::Result<Self> {
        let url = format!("ws://127.0.0.1:{}/ws", api.port);
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("origin", HeaderValue::from_str(&api.base_url())?);
        headers.insert("cookie", HeaderValue::from_str(&api.cookie)?);
        let (socket, _) = client_async(request, connection).await?;
        let mut stream = Self(socket);
        let StreamPosition { epoch, seq: after } = position;
        stream.send_frame(&ClientFrame::Hello { v: PROTOCOL_VERSION, epoch, after }).await?;
        Ok(stream)
    }

    async fn send_frame(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(serde_json::to_string(frame)?)).await?)
    }

    /// Returns the next frame, and answers pings.
    ///
    /// # Errors
    /// The connection broke, or the server closed it.
    pub async fn next_frame(&mut self) -> anyhow::Result<ReceivedFrame> {
        loop {
            let message = self.0.next().await.context("the socket ended")??;
            let received_at = SystemTime::now().duration_since(UNIX_EPOCH)?;
            match message {
                Message::Text(text) => {
                    check_frame(&text)?;
                    let frame = serde_json::from_str(&text)?;
                    if matches!(frame, ServerFrame::Ping { .. }) {
                        self.send_frame(&ClientFrame::Pong).await?;
                    }
                    return Ok(ReceivedFrame { received_at, frame });
                }
                Message::Close(close) => {
                    return Err(SocketClosed(close.map(|close| close.code.into())).into());
                }
                _ => {}
            }
        }
    }

    /// Receives facts until `job` has finished, and returns the last one.
    pub async fn wait_for_job_finished(&mut self, job: JobId) -> anyhow::Result<Fact> {
        loop {
            if let ServerFrame::Fact(fact) = self.next_frame().await?.frame
                && fact.kind == FactKind::JobFinished
                && fact.job == Some(job)
            {
                return Ok(fact);
            }
        }
    }
}
