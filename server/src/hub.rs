//! The hub: sends facts to all open tabs of their user.
//!
//! A frame is encoded once, and its bytes are shared by all sockets. A socket
//! subscribes before it reads the head of the journal, so that nothing is lost in
//! between; what it misses, it reads from the store.

mod heartbeat;
mod progress;
mod socket;
#[cfg(test)]
mod tests;

use crate::{
    client::ClientAddress,
    problem::Problem,
    session::{AuthMethod, OptionalUser},
    state::AppState,
};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Utf8Bytes, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use contract::{
    UserId, metric,
    websocket::{CloseCode, MAX_INBOUND_BYTES, ServerFrame},
};
use engine::{
    Engine,
    event_bus::{EventBus, HubEvent},
    store::Store,
};
use heartbeat::HeartbeatTimes;
use ingress::client_address::network_of;
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Number of frames that a slow socket may be behind before it reads from the
/// store.
const STREAM_CAPACITY: usize = 256;
/// Maximum number of open sockets of one user.
const MAX_SOCKETS_PER_USER: usize = 50;
/// Maximum number of open sockets of one address, or one IPv6 network, which many
/// people may share.
const MAX_SOCKETS_PER_NETWORK: usize = 500;
/// Maximum number of bytes that are buffered for a slow socket.
const MAX_WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Message of the hub to the sockets of a user.
#[derive(Clone)]
enum SocketMessage {
    /// Encoded fact and its sequence number.
    Fact { seq: i64, text: Utf8Bytes },
    /// Encoded frame that may be lost, because a later one replaces it.
    Ephemeral(Utf8Bytes),
    /// The session with this credential hash has ended; `None`: all of the user's.
    SignedOut(Option<String>),
    /// This node has missed events; sockets must read from the store.
    Resync,
}

/// Handle of the hub of this node; cheap to clone.
#[derive(Clone)]
pub struct Hub {
    store: Store,
    engine: Engine,
    event_bus: Arc<dyn EventBus>,
    user_streams: Arc<Mutex<HashMap<UserId, broadcast::Sender<SocketMessage>>>>,
    /// Each socket of a network holds a clone of its `Arc`, which counts them.
    network_slots: Arc<Mutex<HashMap<IpAddr, Arc<()>>>>,
    /// Sockets that are not closed yet, because the HTTP server does not wait for
    /// upgraded connections.
    open_sockets: TaskTracker,
    heartbeat_times: HeartbeatTimes,
    stop: CancellationToken,
}

impl Hub {
    /// Creates a hub that runs until `stop`.
    pub fn new(engine: Engine, stop: CancellationToken) -> Self {
        let (store, event_bus) = (engine.store().clone(), Arc::clone(engine.event_bus()));
        let (user_streams, network_slots) = (Arc::default(), Arc::default());
        let (open_sockets, heartbeat_times) = (TaskTracker::new(), HeartbeatTimes::default());
        Self {
            store,
            engine,
            event_bus,
            user_streams,
            network_slots,
            open_sockets,
            heartbeat_times,
            stop,
        }
    }

    /// Sends events to the sockets until the process stops, and returns when the last
    /// socket is closed.
    pub async fn run(self) {
        // Progress queries the rate limiter and the store, which may be slow, so facts
        // must not wait for it.
        tokio::join!(self.forward_events(), self.publish_progress());
        self.open_sockets.close();
        self.open_sockets.wait().await;
    }

    async fn publish_progress(&self) {
        let mut publisher = progress::ProgressPublisher::default();
        let mut tick = interval(progress::PUBLISH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = publisher.publish_changes(self) => {}
            }
        }
    }

    async fn forward_events(&self) {
        let mut events = self.event_bus.subscribe();
        loop {
            let received = tokio::select! {
                () = self.stop.cancelled() => return,
                received = events.recv() => received,
            };
            match received {
                Ok(event) => self.dispatch(&event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(
                        missed_events = missed,
                        "the hub has fallen behind; its sockets read from the store"
                    );
                    metrics::counter!(metric::HUB_EVENTS_MISSED).increment(missed);
                    self.send_to_all(&SocketMessage::Resync);
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn dispatch(&self, event: &HubEvent) {
        match event {
            HubEvent::Facts(user_facts) => {
                let Some(stream) = self.user_stream(user_facts.user) else { return };
                for fact in &user_facts.facts {
                    let seq = fact.seq;
                    self.record_fact_delay(fact.at);
                    if let Some(text) = encode(&ServerFrame::Fact(fact.clone())) {
                        let _ = stream.send(SocketMessage::Fact { seq, text });
                    }
                }
            }
            HubEvent::TaskStarted(user, started) => {
                let Some(stream) = self.user_stream(*user) else { return };
                if let Some(text) = encode(&ServerFrame::Started(started.clone())) {
                    let _ = stream.send(SocketMessage::Ephemeral(text));
                }
            }
            HubEvent::ResyncRequired => self.send_to_all(&SocketMessage::Resync),
            HubEvent::SignedOut { user, session } => {
                if let Some(stream) = self.user_stream(*user) {
                    let _ = stream.send(SocketMessage::SignedOut(session.clone()));
                }
            }
        }
    }

    /// Records the time since a fact was committed; `at` is UTC milliseconds.
    #[allow(clippy::cast_precision_loss)]
    fn record_fact_delay(&self, at: i64) {
        let delay_ms = (self.store.database.now_ms() - at).max(0) as f64;
        metrics::histogram!(metric::FACT_DELAY_SECONDS).record(delay_ms / 1000.0);
    }

    fn user_stream(&self, user: UserId) -> Option<broadcast::Sender<SocketMessage>> {
        let mut streams = self.user_streams.lock();
        if streams.get(&user)?.receiver_count() == 0 {
            streams.remove(&user);
            return None;
        }
        streams.get(&user).cloned()
    }

    /// Returns the users who have an open socket.
    fn connected_users(&self) -> Vec<UserId> {
        let streams = self.user_streams.lock();
        let open = streams.iter().filter(|(_, stream)| stream.receiver_count() > 0);
        open.map(|(user, _)| *user).collect()
    }

    /// Returns the number of open sockets.
    pub(crate) fn socket_count(&self) -> usize {
        let streams = self.user_streams.lock();
        streams.values().map(broadcast::Sender::receiver_count).sum()
    }

    fn send_to_user(&self, user: UserId, frame: &ServerFrame) {
        if let (Some(stream), Some(text)) = (self.user_stream(user), encode(frame)) {
            let _ = stream.send(SocketMessage::Ephemeral(text));
        }
    }

    fn send_to_all(&self, message: &SocketMessage) {
        for stream in self.user_streams.lock().values() {
            let _ = stream.send(message.clone());
        }
    }

    /// Returns a slot of the address's network, which is released on drop; `None` if
    /// the network has too many sockets.
    fn acquire_network_slot(&self, address: IpAddr) -> Option<Arc<()>> {
        let address = network_of(address);
        let mut slots = self.network_slots.lock();
        slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        let slot = slots.entry(address).or_default();
        (Arc::strong_count(slot) <= MAX_SOCKETS_PER_NETWORK).then(|| Arc::clone(slot))
    }

    /// Subscribes to the messages for `user`; `None` if the user has too many sockets.
    fn subscribe(&self, user: UserId) -> Option<broadcast::Receiver<SocketMessage>> {
        let mut streams = self.user_streams.lock();
        let stream = streams.entry(user).or_insert_with(|| broadcast::channel(STREAM_CAPACITY).0);
        (stream.receiver_count() < MAX_SOCKETS_PER_USER).then(|| stream.subscribe())
    }
}

fn encode(frame: &ServerFrame) -> Option<Utf8Bytes> {
    match serde_json::to_string(frame) {
        Ok(text) => Some(text.into()),
        Err(error) => {
            tracing::error!(%error, "a frame can't be encoded");
            None
        }
    }
}

/// Handles `GET /ws`, which requires an allowed Origin and a session, or a token. A
/// page whose session has ended gets a close code, because browsers hide the
/// status 401 from it.
pub async fn connect(
    State(state): State<AppState>,
    OptionalUser(user): OptionalUser,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let is_allowed = state.origins.allows(&headers);
    if user.is_none() && (is_allowed != Some(true) || upgrade.is_err()) {
        return Problem::sign_in_required().into_response();
    }
    if !is_allowed
        .unwrap_or(user.as_ref().is_some_and(|user| user.auth_method == AuthMethod::Token))
    {
        return Problem::new(StatusCode::FORBIDDEN, "This socket was opened from another site.")
            .into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let hub = state.hub;
    upgrade
        .max_message_size(MAX_INBOUND_BYTES)
        .max_frame_size(MAX_INBOUND_BYTES)
        .read_buffer_size(MAX_INBOUND_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .on_upgrade(move |mut socket| {
            hub.open_sockets.clone().track_future(async move {
                match (hub.acquire_network_slot(address), user) {
                    (Some(_slot), Some(user)) => {
                        socket::SocketSession::run(hub, user, socket).await
                    }
                    (Some(_slot), None) => {
                        socket::close(&mut socket, CloseCode::SignInRequired).await
                    }
                    (None, _) => socket::close(&mut socket, CloseCode::TooManyConnections).await,
                }
            })
        })
}
