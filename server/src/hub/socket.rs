//! One WebSocket, from the hello to the close.

use super::{
    Hub, SocketMessage, encode,
    heartbeat::{Beat, Heartbeat},
};
use crate::session::{AuthMethod, CurrentUser};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use contract::{
    metric,
    websocket::{
        ClientFrame, CloseCode, HELLO_TIMEOUT_MS, MAX_REPLAY_FACTS, PING_INTERVAL_S,
        PROTOCOL_VERSION, ServerFrame,
    },
};
use futures_util::FutureExt;
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, interval_at, sleep, sleep_until, timeout},
};

/// Maximum time for sending a frame. A client that needs longer is too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for sending the close frame, whether or not the client reads it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of facts that are read from the store at once.
const FACTS_PER_READ: i64 = 500;
/// Time after which a missing fact counts as a gap, not as one that arrives out of
/// order.
const REORDER_TIMEOUT: Duration = Duration::from_millis(50);
/// Maximum number of facts that wait for an earlier one; more count as a gap.
const MAX_EARLY_FACTS: usize = 64;
/// Interval at which the last fact that was sent is compared with the head of the journal.
const TAIL_CHECK_INTERVAL: Duration = Duration::from_secs(20);
/// Maximum time over which a stopping node spreads the closing of its sockets.
const MAX_CLOSE_DELAY: Duration = Duration::from_secs(5);
/// Time that each open socket adds to the spread.
const CLOSE_DELAY_PER_SOCKET: Duration = Duration::from_millis(2);

/// State of one connected client.
pub(super) struct SocketSession {
    hub: Hub,
    current_user: CurrentUser,
    socket: WebSocket,
    messages: broadcast::Receiver<SocketMessage>,
    /// Sequence number of the last fact that was sent.
    last_sent_seq: i64,
    /// Facts that arrived before one with a lower `seq`, since events of several nodes
    /// are not ordered.
    early_facts: BTreeMap<i64, Utf8Bytes>,
    /// Time at which the missing facts count as a gap.
    gap_deadline: Option<Instant>,
    heartbeat: Heartbeat,
}

/// Why a socket closes; `None` if the client is already gone.
type Closing = Option<CloseCode>;

impl SocketSession {
    pub(super) async fn run(hub: Hub, current_user: CurrentUser, mut socket: WebSocket) {
        let Some(messages) = hub.subscribe(current_user.identity.user) else {
            close(&mut socket, CloseCode::TooManyConnections).await;
            return;
        };
        let heartbeat = Heartbeat::start(hub.heartbeat_times);
        let mut session = Self {
            hub,
            current_user,
            socket,
            messages,
            last_sent_seq: 0,
            early_facts: BTreeMap::new(),
            gap_deadline: None,
            heartbeat,
        };
        let Err(closing) = session.serve().await;
        if let Some(code) = closing {
            close(&mut session.socket, code).await;
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Closing> {
        let (epoch, after) = self.receive_hello().await?;
        // The session may have ended before this socket subscribed.
        self.check_session().await?;
        self.send_welcome(epoch, after).await?;
        // Sockets that were opened together must not query the store together.
        let first = TAIL_CHECK_INTERVAL.mul_f64(rand::random_range(0.5..1.0));
        let mut tail = interval_at(Instant::now() + first, TAIL_CHECK_INTERVAL);
        let stop = self.hub.stop.clone();
        loop {
            let gap = self.gap_deadline.unwrap_or_else(|| Instant::now() + TAIL_CHECK_INTERVAL);
            tokio::select! {
                () = stop.cancelled() => {
                    spread_close(self.hub.socket_count()).await;
                    return Err(Some(CloseCode::GoingAway));
                }
                received = self.messages.recv() => self.handle_message(received).await?,
                message = self.socket.recv() => self.handle_frame(message)?,
                () = sleep_until(gap), if self.gap_deadline.is_some() => self.resync("gap").await?,
                _ = tail.tick() => {
                    // Events may be lost, so the store decides.
                    self.check_session().await?;
                    if self.store_head().await? > self.last_sent_seq {
                        self.resync("tail").await?;
                    }
                }
                beat = self.heartbeat.next() => match beat {
                    Beat::Ping => {
                        self.send_frame(&ServerFrame::Ping { seq: self.last_sent_seq }).await?;
                    }
                    Beat::Overdue => self.close_unless_answered()?,
                },
            }
        }
    }

    async fn receive_hello(&mut self) -> Result<(Option<String>, Option<i64>), Closing> {
        let limit = Duration::from_millis(HELLO_TIMEOUT_MS);
        let stop = self.hub.stop.clone();
        let message = tokio::select! {
            () = stop.cancelled() => return Err(Some(CloseCode::GoingAway)),
            message = timeout(limit, self.socket.recv()) => message,
        };
        let Ok(message) = message else { return Err(Some(CloseCode::ProtocolError)) };
        let Some(Ok(Message::Text(text))) = message else {
            return Err(Some(CloseCode::ProtocolError));
        };
        match serde_json::from_str(&text) {
            Ok(ClientFrame::Hello { v: PROTOCOL_VERSION, epoch, after }) => Ok((epoch, after)),
            _ => Err(Some(CloseCode::ProtocolError)),
        }
    }

    async fn send_welcome(
        &mut self,
        epoch: Option<String>,
        after: Option<i64>,
    ) -> Result<(), Closing> {
        let user = self.current_user.identity.user;
        let retained =
            self.hub.store.journal.replayable_range(user).await.map_err(store_failure)?;
        let head = *retained.end();
        let own = self.hub.store.database.epoch().to_owned();
        let recovered = match after {
            None => true,
            Some(after) => {
                epoch.as_ref().is_none_or(|epoch| *epoch == own)
                    && retained.contains(&after)
                    && head - after <= MAX_REPLAY_FACTS
            }
        };
        let running = self.hub.store.jobs.running_task_ids(user).await.map_err(store_failure)?;
        self.last_sent_seq = if recovered { after.unwrap_or(head) } else { head };
        self.send_frame(&ServerFrame::Welcome {
            epoch: own,
            seq: head,
            recovered,
            ping_s: PING_INTERVAL_S,
            running,
        })
        .await?;
        self.send_channels().await?;
        self.catch_up().await
    }

    /// Sends the state of all channels. Later only changes are sent, and one that came between
    /// the page and this socket would be lost.
    async fn send_channels(&mut self) -> Result<(), Closing> {
        let forecast = self.hub.engine.forecast().await.map_err(store_failure)?;
        for channel in &forecast.channels {
            self.send_frame(&ServerFrame::Channel(channel.clone())).await?;
        }
        Ok(())
    }

    async fn handle_message(
        &mut self,
        received: Result<SocketMessage, RecvError>,
    ) -> Result<(), Closing> {
        match received {
            Ok(SocketMessage::Fact { seq, .. }) if seq <= self.last_sent_seq => Ok(()),
            Ok(SocketMessage::Fact { seq, text }) if seq == self.last_sent_seq + 1 => {
                self.send(text).await?;
                self.last_sent_seq = seq;
                self.send_early_facts().await
            }
            Ok(SocketMessage::Fact { seq, text }) if self.early_facts.len() < MAX_EARLY_FACTS => {
                self.early_facts.insert(seq, text);
                self.gap_deadline.get_or_insert_with(|| Instant::now() + REORDER_TIMEOUT);
                Ok(())
            }
            Ok(SocketMessage::Fact { .. }) => self.resync("gap").await,
            Ok(SocketMessage::Resync) => self.resync("missed").await,
            Err(RecvError::Lagged(_)) => self.resync("behind").await,
            Ok(SocketMessage::Ephemeral(text)) => self.send(text).await,
            Ok(SocketMessage::SignedOut(session)) => match session {
                Some(session) if session != self.current_user.credential_hash => Ok(()),
                _ => Err(Some(CloseCode::SignInRequired)),
            },
            Err(RecvError::Closed) => Err(Some(CloseCode::GoingAway)),
        }
    }

    /// Sends early facts that are next in order by now.
    async fn send_early_facts(&mut self) -> Result<(), Closing> {
        while let Some(text) = self.early_facts.remove(&(self.last_sent_seq + 1)) {
            self.send(text).await?;
            self.last_sent_seq += 1;
        }
        if self.early_facts.is_empty() {
            self.gap_deadline = None;
        }
        Ok(())
    }

    /// Reads what has arrived by now, because the answer may have waited while this task
    /// was sending or reading from the store.
    fn close_unless_answered(&mut self) -> Result<(), Closing> {
        while self.heartbeat.is_waiting() {
            match self.socket.recv().now_or_never() {
                Some(message) => self.handle_frame(message)?,
                None => return Err(Some(CloseCode::TooSlow)),
            }
        }
        Ok(())
    }

    fn handle_frame(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), Closing> {
        match message {
            None | Some(Ok(Message::Close(_))) => Err(None),
            Some(Err(_)) => Err(Some(CloseCode::ProtocolError)),
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(ClientFrame::Pong) => {
                    self.heartbeat.record_pong();
                    Ok(())
                }
                _ => Err(Some(CloseCode::ProtocolError)),
            },
            Some(Ok(Message::Binary(_))) => Err(Some(CloseCode::ProtocolError)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        }
    }

    /// Reads from the store, because messages were missed; `reason` is a metric label.
    async fn resync(&mut self, reason: &'static str) -> Result<(), Closing> {
        metrics::counter!(metric::WEBSOCKET_RESYNCS, "reason" => reason).increment(1);
        // A sign-out may be among the missed messages.
        self.check_session().await?;
        self.catch_up().await
    }

    /// Sends the facts after `last_sent_seq` from the store, page by page as the
    /// client reads them.
    async fn catch_up(&mut self) -> Result<(), Closing> {
        let user = self.current_user.identity.user;
        loop {
            let facts = self
                .hub
                .store
                .journal
                .facts_after(user, self.last_sent_seq, FACTS_PER_READ)
                .await
                .map_err(store_failure)?;
            let full = i64::try_from(facts.len()).is_ok_and(|len| len == FACTS_PER_READ);
            for fact in facts {
                let seq = fact.seq;
                if seq != self.last_sent_seq + 1 {
                    // The facts in between have been pruned. The client learns that
                    // when it connects again.
                    return Err(Some(CloseCode::GoingAway));
                }
                self.send_frame(&ServerFrame::Fact(fact)).await?;
                self.last_sent_seq = seq;
            }
            if !full {
                self.early_facts.retain(|seq, _| *seq > self.last_sent_seq);
                self.send_early_facts().await?;
                self.gap_deadline =
                    (!self.early_facts.is_empty()).then(|| Instant::now() + REORDER_TIMEOUT);
                return Ok(());
            }
            // A slow client may take long to read many pages.
            if self.hub.stop.is_cancelled() {
                return Err(Some(CloseCode::GoingAway));
            }
            self.check_session().await?;
        }
    }

    async fn check_session(&mut self) -> Result<(), Closing> {
        let (accounts, hash) =
            (&self.hub.store.accounts, self.current_user.credential_hash.as_str());
        let is_valid = match self.current_user.auth_method {
            AuthMethod::Cookie => {
                accounts.authenticate_session(hash).await.map(|found| found.is_some())
            }
            AuthMethod::Token => match accounts.authenticate_token(hash).await {
                Err(engine::store::Error::TokenExpired) => Ok(false),
                found => found.map(|found| found.is_some()),
            },
        };
        match is_valid.map_err(store_failure)? {
            true => Ok(()),
            false => Err(Some(CloseCode::SignInRequired)),
        }
    }

    async fn store_head(&mut self) -> Result<i64, Closing> {
        self.hub
            .store
            .journal
            .journal_head(self.current_user.identity.user)
            .await
            .map_err(store_failure)
    }

    async fn send_frame(&mut self, frame: &ServerFrame) -> Result<(), Closing> {
        match encode(frame) {
            Some(text) => self.send(text).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), Closing> {
        match timeout(WRITE_TIMEOUT, self.socket.send(Message::Text(text))).await {
            Ok(Ok(())) => {
                metrics::counter!(metric::WEBSOCKET_FRAMES_SENT).increment(1);
                Ok(())
            }
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(CloseCode::TooSlow)),
        }
    }
}

/// Waits a random time, so that the clients of a stopping node don't all connect to
/// another node at once.
async fn spread_close(sockets: usize) {
    let spread = CLOSE_DELAY_PER_SOCKET * u32::try_from(sockets).unwrap_or(u32::MAX);
    sleep(spread.min(MAX_CLOSE_DELAY).mul_f64(rand::random_range(0.0..1.0))).await;
}

fn store_failure(error: engine::store::Error) -> Closing {
    tracing::warn!(%error, "a socket can't read from the store");
    Some(CloseCode::Overloaded)
}

/// Closes `socket` with `code`.
pub(super) async fn close(socket: &mut WebSocket, code: CloseCode) {
    let label = code.code().to_string();
    metrics::counter!(metric::WEBSOCKETS_CLOSED, "code" => label).increment(1);
    let frame = CloseFrame { code: code.code(), reason: Utf8Bytes::from_static("") };
    let _ = timeout(CLOSE_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
}
