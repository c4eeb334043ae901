//! One socket, from hello to close.

use super::{Hub, Live, encode};
use crate::session::{By, SignedIn};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use contract::live::{ClientFrame, Close, HELLO_TIMEOUT_MS, MAX_GAP, PING_S, ServerFrame, VERSION};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, interval_at, sleep, sleep_until, timeout},
};

/// A client that takes longer to read a frame is too slow.
const WRITE: Duration = Duration::from_secs(10);
/// Facts of one page from the store.
const PAGE: i64 = 500;
/// A node waits so long before it treats disorder as a gap.
const DISORDER: Duration = Duration::from_millis(50);
/// Facts that may come early; more are a gap.
const EARLY: usize = 64;
/// Between two looks at the end of the store's journal.
const TAIL: Duration = Duration::from_secs(20);
/// Sockets of a node that stops are closed within this time at the most.
const SPREAD: Duration = Duration::from_secs(5);
const PER_SOCKET: Duration = Duration::from_millis(2);

pub(super) struct Connection {
    hub: Hub,
    who: SignedIn,
    socket: WebSocket,
    live: broadcast::Receiver<Live>,
    /// The last `seq` that the client has.
    sent: i64,
    /// Facts that came before one of a lower `seq`: nodes tell in no order.
    early: BTreeMap<i64, Utf8Bytes>,
    /// When their disorder counts as a gap.
    gap_at: Option<Instant>,
}

/// Why a connection ends; `None` where there is nobody to tell.
type End = Option<Close>;

impl Connection {
    pub(super) async fn run(hub: Hub, who: SignedIn, mut socket: WebSocket) {
        let Some(live) = hub.subscribe(who.identity.user) else {
            close(&mut socket, Close::Limit).await;
            return;
        };
        let mut connection =
            Self { hub, who, socket, live, sent: 0, early: BTreeMap::new(), gap_at: None };
        let Err(end) = connection.serve().await;
        if let Some(code) = end {
            close(&mut connection.socket, code).await;
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        let (epoch, after) = self.hello().await?;
        // It may have ended before this socket listened.
        self.check_session().await?;
        self.welcome(epoch, after).await?;
        let every = Duration::from_secs(PING_S.into());
        let mut ping = interval_at(Instant::now() + every, every);
        // Sockets that opened together do not ask together.
        let first = TAIL.mul_f64(rand::random_range(0.5..1.0));
        let mut tail = interval_at(Instant::now() + first, TAIL);
        let stop = self.hub.stop.clone();
        loop {
            let gap = self.gap_at.unwrap_or_else(|| Instant::now() + TAIL);
            tokio::select! {
                () = stop.cancelled() => {
                    go_away(self.hub.sockets()).await;
                    return Err(Some(Close::GoingAway));
                }
                live = self.live.recv() => self.hand(live).await?,
                message = self.socket.recv() => self.hear(message)?,
                () = sleep_until(gap), if self.gap_at.is_some() => self.resync("gap").await?,
                _ = tail.tick() => {
                    // News may be lost: the store has the last word.
                    self.check_session().await?;
                    if self.head().await? > self.sent {
                        self.resync("tail").await?;
                    }
                }
                _ = ping.tick() => {
                    self.send_frame(&ServerFrame::Ping { seq: self.sent }).await?;
                }
            }
        }
    }

    async fn hello(&mut self) -> Result<(Option<String>, Option<i64>), End> {
        let limit = Duration::from_millis(HELLO_TIMEOUT_MS);
        let stop = self.hub.stop.clone();
        let message = tokio::select! {
            () = stop.cancelled() => return Err(Some(Close::GoingAway)),
            message = timeout(limit, self.socket.recv()) => message,
        };
        let Ok(message) = message else { return Err(Some(Close::Protocol)) };
        let Some(Ok(Message::Text(text))) = message else {
            return Err(Some(Close::Protocol));
        };
        match serde_json::from_str(&text) {
            Ok(ClientFrame::Hello { v: VERSION, epoch, after }) => Ok((epoch, after)),
            _ => Err(Some(Close::Protocol)),
        }
    }

    async fn welcome(&mut self, epoch: Option<String>, after: Option<i64>) -> Result<(), End> {
        let user = self.who.identity.user;
        let kept = self.hub.store.span(user).await.map_err(overloaded)?;
        let head = *kept.end();
        let own = self.hub.store.epoch().to_owned();
        let recovered = match after {
            None => true,
            Some(after) => {
                epoch.as_ref().is_none_or(|epoch| *epoch == own)
                    && kept.contains(&after)
                    && head - after <= MAX_GAP
            }
        };
        let running = self.hub.store.running(user).await.map_err(overloaded)?;
        self.sent = if recovered { after.unwrap_or(head) } else { head };
        self.send_frame(&ServerFrame::Welcome {
            epoch: own,
            seq: head,
            recovered,
            ping_s: PING_S,
            running,
        })
        .await?;
        self.catch_up().await
    }

    async fn hand(&mut self, live: Result<Live, RecvError>) -> Result<(), End> {
        match live {
            Ok(Live::Fact { seq, .. }) if seq <= self.sent => Ok(()),
            Ok(Live::Fact { seq, text }) if seq == self.sent + 1 => {
                self.send(text).await?;
                self.sent = seq;
                self.send_early().await
            }
            Ok(Live::Fact { seq, text }) if self.early.len() < EARLY => {
                self.early.insert(seq, text);
                self.gap_at.get_or_insert_with(|| Instant::now() + DISORDER);
                Ok(())
            }
            Ok(Live::Fact { .. }) => self.resync("gap").await,
            Ok(Live::Resync) => self.resync("missed").await,
            Err(RecvError::Lagged(_)) => self.resync("behind").await,
            Ok(Live::Other(text)) => self.send(text).await,
            Ok(Live::SignedOut(session)) => match session {
                Some(session) if session != self.who.session => Ok(()),
                _ => Err(Some(Close::SignIn)),
            },
            Err(RecvError::Closed) => Err(Some(Close::GoingAway)),
        }
    }

    /// Sends what came early and is next by now.
    async fn send_early(&mut self) -> Result<(), End> {
        while let Some(text) = self.early.remove(&(self.sent + 1)) {
            self.send(text).await?;
            self.sent += 1;
        }
        if self.early.is_empty() {
            self.gap_at = None;
        }
        Ok(())
    }

    fn hear(&self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        match message {
            None | Some(Ok(Message::Close(_))) => Err(None),
            Some(Err(_)) => Err(Some(Close::Protocol)),
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(ClientFrame::Pong) => Ok(()),
                _ => Err(Some(Close::Protocol)),
            },
            Some(Ok(Message::Binary(_))) => Err(Some(Close::Protocol)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        }
    }

    /// What came live was not all.
    async fn resync(&mut self, why: &'static str) -> Result<(), End> {
        metrics::counter!("meanwhile_resyncs_total", "why" => why).increment(1);
        // Its sign-out may be among what was missed.
        self.check_session().await?;
        self.catch_up().await
    }

    /// Reads from the store what lies behind `sent`, page by page as the
    /// socket drains.
    async fn catch_up(&mut self) -> Result<(), End> {
        let user = self.who.identity.user;
        loop {
            let facts =
                self.hub.store.facts_after(user, self.sent, PAGE).await.map_err(overloaded)?;
            let full = i64::try_from(facts.len()).is_ok_and(|len| len == PAGE);
            for fact in facts {
                let seq = fact.seq;
                if seq != self.sent + 1 {
                    // What lies between is not kept any more: whoever comes
                    // again is told so.
                    return Err(Some(Close::GoingAway));
                }
                self.send_frame(&ServerFrame::Fact(fact)).await?;
                self.sent = seq;
            }
            if !full {
                self.early.retain(|seq, _| *seq > self.sent);
                self.send_early().await?;
                self.gap_at = (!self.early.is_empty()).then(|| Instant::now() + DISORDER);
                return Ok(());
            }
            // A slow reader of many pages is under way for long.
            if self.hub.stop.is_cancelled() {
                return Err(Some(Close::GoingAway));
            }
            self.check_session().await?;
        }
    }

    async fn check_session(&mut self) -> Result<(), End> {
        let found = match self.who.by {
            By::Cookie => self.hub.store.session(&self.who.session).await,
            By::Token => self.hub.store.token(&self.who.session).await,
        };
        match found.map_err(overloaded)? {
            Some(_) => Ok(()),
            None => Err(Some(Close::SignIn)),
        }
    }

    async fn head(&mut self) -> Result<i64, End> {
        self.hub.store.head(self.who.identity.user).await.map_err(overloaded)
    }

    async fn send_frame(&mut self, frame: &ServerFrame) -> Result<(), End> {
        match encode(frame) {
            Some(text) => self.send(text).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), End> {
        match timeout(WRITE, self.socket.send(Message::Text(text))).await {
            Ok(Ok(())) => {
                metrics::counter!("meanwhile_frames_sent_total").increment(1);
                Ok(())
            }
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Close::TooSlow)),
        }
    }
}

/// A stop that many pages see is spread out, so that they don't all come to the
/// next node at once.
async fn go_away(sockets: usize) {
    let spread = PER_SOCKET * u32::try_from(sockets).unwrap_or(u32::MAX);
    sleep(spread.min(SPREAD).mul_f64(rand::random_range(0.0..1.0))).await;
}

fn overloaded(error: engine::store::Error) -> End {
    tracing::warn!(%error, "a socket can't read from the store");
    Some(Close::Overloaded)
}

pub(super) async fn close(socket: &mut WebSocket, code: Close) {
    let told = code.code().to_string();
    metrics::counter!("meanwhile_sockets_closed_total", "code" => told).increment(1);
    let frame = CloseFrame { code: code.code(), reason: Utf8Bytes::from_static("") };
    let _ = timeout(WRITE, socket.send(Message::Close(Some(frame)))).await;
}
