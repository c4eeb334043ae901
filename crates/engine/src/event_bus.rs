//! Port to the bus that broadcasts hub events to all nodes. Best effort: a hub finds
//! missing facts by their `seq` and reads them from the store.

pub mod embedded;
pub mod rabbitmq;
#[cfg(any(test, feature = "testing"))]
pub mod suite;
mod wire_format;

use crate::{metrics, store::UserFacts};
use async_trait::async_trait;
use contract::{UserId, websocket::TaskStarted};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Number of events that a slow subscriber may lag behind before it has to resync.
const SUBSCRIBER_BUFFER: usize = 4_096;

/// An event for hubs. It may be lost: hubs find missing facts by their `seq`.
#[derive(Clone, Debug, PartialEq)]
pub enum HubEvent {
    /// New facts of one user.
    Facts(UserFacts),
    /// A worker has started an attempt at a task of this user.
    TaskStarted(UserId, TaskStarted),
    /// A user was signed out, so their WebSockets have to be closed.
    SignedOut {
        /// The user who was signed out.
        user: UserId,
        /// Hash of the session's token; `None` for all sessions.
        session: Option<String>,
    },
    /// This node was disconnected and has missed events.
    ResyncRequired,
}

/// Port to the bus of hub events. No operation fails: an event that can't be delivered is
/// dropped.
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// Broadcasts an event to the subscribers of all nodes. Use [`publish_facts`] for
    /// facts.
    fn broadcast(&self, event: HubEvent);

    /// Subscribes to events from now on. `Lagged` means a resync, not the end.
    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>>;

    /// Forwards events between nodes until `stop`.
    async fn run(&self, stop: CancellationToken);
}

/// Counts facts that this process has committed, and broadcasts them. Each fact passes
/// here once, so the counters of all processes add up.
pub fn publish_facts(event_bus: &dyn EventBus, user_facts: UserFacts) {
    metrics::count_facts(&user_facts.facts);
    event_bus.broadcast(HubEvent::Facts(user_facts));
}
