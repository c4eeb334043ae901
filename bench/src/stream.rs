//! A client of `/ws`.

use crate::api::Api;
use anyhow::{Context, bail};
use contract::{
    JobId,
    fact::{Fact, FactKind},
    live::{ClientFrame, ServerFrame, VERSION},
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

/// How far a client has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    pub epoch: Option<String>,
    pub seq: Option<i64>,
}

/// One frame, and when it came.
pub struct Received {
    /// Since 1970: the clock that the server's own times are of.
    pub at: Duration,
    pub frame: ServerFrame,
}

/// The server closed the socket, with this code if it said one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed(pub Option<u16>);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server closed the socket: {:?}", self.0)
    }
}

impl Error for Closed {}

/// An open socket that has said hello.
pub struct Stream<S>(WebSocketStream<S>);

impl Stream<TcpStream> {
    pub async fn open(api: &Api, since: Since) -> anyhow::Result<Self> {
        Self::over(connect(api).await?, api, since).await
    }

    /// A socket that begins at the head of the journal, and where that is.
    pub async fn at_head(api: &Api) -> anyhow::Result<(Self, Since)> {
        let mut stream = Self::open(api, Since::default()).await?;
        match stream.next().await?.frame {
            ServerFrame::Welcome { epoch, seq, .. } => {
                Ok((stream, Since { epoch: Some(epoch), seq: Some(seq) }))
            }
            frame => bail!("the first frame is no welcome: {frame:?}"),
        }
    }
}

/// To the server, without Nagle's delay.
pub async fn connect(api: &Api) -> anyhow::Result<TcpStream> {
    let connection = TcpStream::connect(("127.0.0.1", api.port)).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub async fn over(connection: S, api: &Api, since: Since) -> anyhow::Result<Self> {
        let url = format!("ws://127.0.0.1:{}/ws", api.port);
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("origin", HeaderValue::from_str(&api.base())?);
        headers.insert("cookie", HeaderValue::from_str(&api.cookie)?);
        let (socket, _) = client_async(request, connection).await?;
        let mut stream = Self(socket);
        let Since { epoch, seq: after } = since;
        stream.say(&ClientFrame::Hello { v: VERSION, epoch, after }).await?;
        Ok(stream)
    }

    async fn say(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(serde_json::to_string(frame)?)).await?)
    }

    /// The next frame; pings are answered.
    ///
    /// # Errors
    /// The connection broke, or the server closed it.
    pub async fn next(&mut self) -> anyhow::Result<Received> {
        loop {
            let message = self.0.next().await.context("the socket ended")??;
            let at = SystemTime::now().duration_since(UNIX_EPOCH)?;
            match message {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text)?;
                    if matches!(frame, ServerFrame::Ping { .. }) {
                        self.say(&ClientFrame::Pong).await?;
                    }
                    return Ok(Received { at, frame });
                }
                Message::Close(close) => {
                    return Err(Closed(close.map(|close| close.code.into())).into());
                }
                _ => {}
            }
        }
    }

    /// Hears facts until that job ends; returns the last one.
    pub async fn until_finished(&mut self, job: JobId) -> anyhow::Result<Fact> {
        loop {
            if let ServerFrame::Fact(fact) = self.next().await?.frame
                && fact.kind == FactKind::JobFinished
                && fact.job == Some(job)
            {
                return Ok(fact);
            }
        }
    }
}
