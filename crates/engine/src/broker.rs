//! Port to the message broker: command queues for workers, and events for hubs.
//! The store is the source of truth: a broker that loses all its messages costs only
//! time.

pub mod embedded;
pub mod rabbitmq;
#[cfg(any(test, feature = "testing"))]
pub mod suite;
mod wire_format;

use crate::store;
use async_trait::async_trait;
use contract::{
    UserId,
    envelope::{Dispatch, EnvelopeError},
    websocket::TaskStarted,
};
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Why a broker operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection, or it broke during the operation.
    #[error("the broker can't be reached: {0}")]
    Unreachable(String),
    /// The queue was deleted or never declared.
    #[error("the queue {0} does not exist")]
    QueueNotFound(String),
    /// The broker received the message but did not store it.
    #[error("the broker refused the message: {0}")]
    Rejected(String),
    /// The message can't be encoded or decoded.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// An event for hubs. It may be lost: hubs find missing facts by their `seq`.
#[derive(Clone, Debug, PartialEq)]
pub enum HubEvent {
    /// New facts of one user.
    Facts(store::UserFacts),
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

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Number of messages that no consumer has received.
    pub ready: u64,
    /// Number of consumers.
    pub consumers: u64,
}

/// One message of a queue. If it is dropped without [`Delivery::ack`], it is redelivered:
/// by the embedded broker at once, by RabbitMQ when its consumer has ended. Until then,
/// RabbitMQ counts it against the consumer's prefetch limit, so a consumer that continues
/// has to keep a delivery until it can be acknowledged.
pub struct Delivery {
    /// The command, or the bytes that can't be decoded and the reason.
    pub content: Result<Dispatch, (Vec<u8>, EnvelopeError)>,
    ack_fn: Option<AckFn>,
}

type AckFn = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Delivery {
    /// Creates a delivery. `ack_fn` is called at most once.
    pub fn new(
        content: Result<Dispatch, (Vec<u8>, EnvelopeError)>,
        ack_fn: impl FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) -> Self {
        Self { content, ack_fn: Some(Box::new(ack_fn)) }
    }

    /// Acknowledges the message after its work has been committed. If the acknowledgement
    /// is lost, a duplicate is delivered, which can't be claimed.
    pub async fn ack(mut self) {
        if let Some(ack_fn) = self.ack_fn.take() {
            ack_fn().await;
        }
    }
}

/// Messages of one queue, in order. Ends when the consumer was cancelled or the
/// connection broke; consume again then.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// Port to the message broker: commands to workers, events to hubs.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Declares the queues, and returns the names of those that have neither a ready
    /// message nor a consumer. Either all earlier messages of such a queue were consumed,
    /// or they were lost because the queue was deleted. If several processes declare a
    /// queue at the same time, its name may be returned to each of them.
    ///
    /// # Errors
    /// The broker can't be reached.
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error>;

    /// Publishes a batch, and returns the broker's confirm of each message, in order.
    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>>;

    /// Consumes `queue` with at most `prefetch` unacknowledged messages.
    ///
    /// # Errors
    /// The broker can't be reached.
    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error>;

    /// Returns how full `queue` is.
    ///
    /// # Errors
    /// The queue does not exist, or the broker can't be reached.
    async fn queue_depth(&self, queue: &str) -> Result<QueueDepth, Error>;

    /// Broadcasts an event to the hubs of all nodes. Best effort.
    fn broadcast(&self, event: HubEvent);

    /// Subscribes to events from now on. `Lagged` means a resync, not the end.
    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>>;

    /// Forwards events between nodes until `stop`.
    async fn run(&self, stop: CancellationToken);
}
