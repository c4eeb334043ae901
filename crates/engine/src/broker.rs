//! The doorbell: commands on their way to workers, news on their way to hubs.
//! The truth stays in the store: a broker may lose everything it holds and
//! costs time only.

pub mod embedded;
pub mod rabbit;
#[cfg(any(test, feature = "testing"))]
pub mod suite;
mod wire;

use crate::store;
use async_trait::async_trait;
use contract::{
    UserId,
    envelope::{Dispatch, EnvelopeError},
    live::Started,
};
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Why a broker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not connected, or the connection broke on the way.
    #[error("the broker can't be reached: {0}")]
    Unreachable(String),
    /// No queue takes the message: it was deleted, or never declared.
    #[error("the queue {0} does not exist")]
    NoQueue(String),
    /// It took the message and did not keep it.
    #[error("the broker refused the message: {0}")]
    Refused(String),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// What hubs are told; it may be lost, for facts have their `seq`.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Facts(store::News),
    Started(UserId, Started),
    /// Sockets are to be closed: those of one session (by the hash of its
    /// token), or all of the user's.
    SignedOut {
        user: UserId,
        session: Option<String>,
    },
    /// This node was cut off, and missed what was said meanwhile.
    Missed,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Messages that no consumer holds.
    pub ready: u64,
    pub consumers: u64,
}

/// One message of a queue. Dropped without [`Delivery::ack`] it comes again,
/// once its consumer is gone: the embedded broker does not wait for that, but
/// RabbitMQ does, and until then counts it among the consumer's slots. Who
/// goes on consuming keeps a delivery until it can be acknowledged.
pub struct Delivery {
    /// The command, or the bytes that can't be read as one and why.
    pub content: Result<Dispatch, (Vec<u8>, EnvelopeError)>,
    acknowledge: Option<Acknowledge>,
}

type Acknowledge = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Delivery {
    /// `acknowledge` is done at most once.
    pub fn new(
        content: Result<Dispatch, (Vec<u8>, EnvelopeError)>,
        acknowledge: impl FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) -> Self {
        Self { content, acknowledge: Some(Box::new(acknowledge)) }
    }

    /// The work is done and committed: forget the message. A lost
    /// acknowledgement brings a duplicate, which the claim refuses.
    pub async fn ack(mut self) {
        if let Some(acknowledge) = self.acknowledge.take() {
            acknowledge().await;
        }
    }
}

/// Messages of one queue, in order; `None` when the queue was cancelled or
/// the connection broke: consume anew.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// A port: commands to workers, news to hubs.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Makes the queues that do not exist, and returns the names of those that
    /// hold no message, neither ready nor with a consumer: what was published to them
    /// before was consumed, or is lost with a queue that was deleted. Of several
    /// processes that declare a queue at the same time, each may be told.
    async fn declare(&self, queues: &[String]) -> Result<Vec<String>, Error>;

    /// Publishes and waits for the broker's word on each, in order.
    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>>;

    /// Consumes `queue` with at most `slots` messages unacknowledged.
    async fn consume(&self, queue: &str, slots: u16) -> Result<Deliveries, Error>;

    /// How full `queue` is.
    async fn depth(&self, queue: &str) -> Result<Depth, Error>;

    /// Tells every hub. Best effort.
    fn announce(&self, news: News);

    /// News from now on. `Lagged` is a resync, not an end.
    fn news(&self) -> broadcast::Receiver<Arc<News>>;

    /// Carries news between nodes until `stop`.
    async fn run(&self, stop: CancellationToken);
}
