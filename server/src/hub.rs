//! The hub: every step to all tabs of the user.
//!
//! News are encoded once and their bytes shared. A socket subscribes before
//! it reads the head, so that nothing falls between store and live; what it
//! misses it reads from the store.

mod progress;
mod socket;

use crate::{
    client::Client,
    overload::network,
    problem::Problem,
    session::{By, Visitor},
    state::State,
};
use axum::{
    extract::{
        State as Extract, WebSocketUpgrade,
        ws::{Utf8Bytes, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use contract::{
    UserId,
    live::{Close, MAX_INBOUND, ServerFrame},
};
use engine::{
    Engine,
    broker::{Broker, News},
    store::Store,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Frames that a slow socket may be behind before it reads from the store.
const BEHIND: usize = 256;
/// Sockets that one user may have open.
const PER_USER: usize = 50;
/// Sockets from one address, or one network of IPv6: many people may share it.
const PER_ADDRESS: usize = 500;
/// Bytes that wait for a slow socket.
const WRITE_BUFFER: usize = 64 * 1024;

/// What a socket is handed.
#[derive(Clone)]
enum Live {
    Fact {
        seq: i64,
        text: Utf8Bytes,
    },
    /// Latest wins: may be lost.
    Other(Utf8Bytes),
    /// The session of that token hash ended; `None`: all of the user's.
    SignedOut(Option<String>),
    /// This node missed news: read from the store.
    Resync,
}

/// A cheap handle to the hub of this node.
#[derive(Clone)]
pub struct Hub {
    store: Store,
    engine: Engine,
    broker: Arc<dyn Broker>,
    streams: Arc<Mutex<HashMap<UserId, broadcast::Sender<Live>>>>,
    /// One clone for each socket of the network, and one here.
    places: Arc<Mutex<HashMap<IpAddr, Arc<()>>>>,
    /// Sockets that are not closed yet: a server does not wait for what was
    /// upgraded.
    open: TaskTracker,
    stop: CancellationToken,
}

impl Hub {
    pub fn new(engine: Engine, stop: CancellationToken) -> Self {
        let (store, broker) = (engine.store().clone(), Arc::clone(engine.broker()));
        let (streams, places, open) = (Arc::default(), Arc::default(), TaskTracker::new());
        Self { store, engine, broker, streams, places, open, stop }
    }

    /// Hands news to the sockets until the process stops; returns when the last
    /// socket was told to go.
    pub async fn run(self) {
        // Figures ask gates and store, which may take their time: facts don't
        // wait for them.
        tokio::join!(self.hand_on(), self.tell_figures());
        self.open.close();
        self.open.wait().await;
    }

    async fn tell_figures(&self) {
        let mut figures = progress::Told::default();
        let mut tick = interval(progress::EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = figures.tell(self) => {}
            }
        }
    }

    async fn hand_on(&self) {
        let mut news = self.broker.news();
        loop {
            let received = tokio::select! {
                () = self.stop.cancelled() => return,
                received = news.recv() => received,
            };
            match received {
                Ok(news) => self.relay(&news),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the hub was behind; sockets read from the store");
                    metrics::counter!("meanwhile_hub_missed_total").increment(missed);
                    self.to_all(&Live::Resync);
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn relay(&self, news: &News) {
        match news {
            News::Facts(news) => {
                let Some(stream) = self.listeners(news.user) else { return };
                for fact in &news.facts {
                    let seq = fact.seq;
                    self.time(fact.at);
                    if let Some(text) = encode(&ServerFrame::Fact(fact.clone())) {
                        let _ = stream.send(Live::Fact { seq, text });
                    }
                }
            }
            News::Started(user, started) => {
                let Some(stream) = self.listeners(*user) else { return };
                if let Some(text) = encode(&ServerFrame::Started(started.clone())) {
                    let _ = stream.send(Live::Other(text));
                }
            }
            News::Missed => self.to_all(&Live::Resync),
            News::SignedOut { user, session } => {
                if let Some(stream) = self.listeners(*user) {
                    let _ = stream.send(Live::SignedOut(session.clone()));
                }
            }
        }
    }

    /// How long a fact of `at`, UTC ms, was under way.
    #[allow(clippy::cast_precision_loss)]
    fn time(&self, at: i64) {
        let late = (self.store.now_ms() - at).max(0) as f64;
        metrics::histogram!("meanwhile_fact_delay_seconds").record(late / 1000.0);
    }

    fn listeners(&self, user: UserId) -> Option<broadcast::Sender<Live>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.get(&user)?.receiver_count() == 0 {
            streams.remove(&user);
            return None;
        }
        streams.get(&user).cloned()
    }

    /// Everyone who has a page open.
    fn users(&self) -> Vec<UserId> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.iter().filter(|(_, stream)| stream.receiver_count() > 0);
        open.map(|(user, _)| *user).collect()
    }

    /// Sockets that are open.
    pub(crate) fn sockets(&self) -> usize {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.values().map(broadcast::Sender::receiver_count).sum()
    }

    fn to_user(&self, user: UserId, frame: &ServerFrame) {
        if let (Some(stream), Some(text)) = (self.listeners(user), encode(frame)) {
            let _ = stream.send(Live::Other(text));
        }
    }

    fn to_all(&self, live: &Live) {
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = stream.send(live.clone());
        }
    }

    /// A place of the address's network until it is dropped; `None`: it has too
    /// many.
    fn place(&self, address: IpAddr) -> Option<Arc<()>> {
        let address = network(address);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| Arc::strong_count(place) > 1);
        let place = places.entry(address).or_default();
        (Arc::strong_count(place) <= PER_ADDRESS).then(|| Arc::clone(place))
    }

    /// `None`: this user has too many sockets.
    fn subscribe(&self, user: UserId) -> Option<broadcast::Receiver<Live>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = streams.entry(user).or_insert_with(|| broadcast::channel(BEHIND).0);
        (stream.receiver_count() < PER_USER).then(|| stream.subscribe())
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

/// `GET /ws`: an exact Origin and a session, or a token. A page whose session
/// has ended is told by a close code: no browser tells it of a 401.
pub async fn connect(
    Extract(state): Extract<State>,
    Visitor(who): Visitor,
    Client(address): Client,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let ours = state.origins.allows(&headers);
    if who.is_none() && (ours != Some(true) || upgrade.is_err()) {
        return Problem::sign_in().into_response();
    }
    if !ours.unwrap_or(who.as_ref().is_some_and(|who| who.by == By::Token)) {
        return Problem::new(StatusCode::FORBIDDEN, "This socket was opened from another site.")
            .into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let hub = state.hub;
    upgrade
        .max_message_size(MAX_INBOUND)
        .max_frame_size(MAX_INBOUND)
        .read_buffer_size(MAX_INBOUND)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |mut socket| {
            hub.open.clone().track_future(async move {
                match (hub.place(address), who) {
                    (Some(_place), Some(who)) => socket::Connection::run(hub, who, socket).await,
                    (Some(_place), None) => socket::close(&mut socket, Close::SignIn).await,
                    (None, _) => socket::close(&mut socket, Close::Limit).await,
                }
            })
        })
}
