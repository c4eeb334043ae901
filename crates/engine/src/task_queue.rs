//! Port to the queues that carry commands to workers. The store is the source of truth:
//! queues that lose all their messages cost only time.

pub mod embedded;
pub mod rabbitmq;
#[cfg(any(test, feature = "testing"))]
pub mod suite;

use async_trait::async_trait;
use contract::envelope::{CommandMessage, EnvelopeError};
use std::{future::Future, pin::Pin};
use tokio::sync::mpsc;

/// Why an operation on the queues failed.
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
    /// The message can't be encoded.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
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
/// by the embedded queue at once, by RabbitMQ when its consumer has ended. Until then,
/// RabbitMQ counts it against the consumer's prefetch limit, so a consumer that continues
/// has to keep a delivery until it can be acknowledged.
pub struct Delivery {
    /// The command, or the bytes that can't be decoded and the reason.
    pub content: Result<CommandMessage, (Vec<u8>, EnvelopeError)>,
    ack_fn: Option<AckFn>,
}

type AckFn = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Delivery {
    /// Creates a delivery. `ack_fn` is called at most once.
    pub fn new<F>(
        content: Result<CommandMessage, (Vec<u8>, EnvelopeError)>,
        ack_fn: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { content, ack_fn: Some(Box::new(move || Box::pin(ack_fn()))) }
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

/// Port to the queues of commands: publish, consume, acknowledge.
#[async_trait]
pub trait TaskQueue: Send + Sync + 'static {
    /// Declares the queues, and returns the names of those that have neither a ready
    /// message nor a consumer. Either all earlier messages of such a queue were consumed,
    /// or they were lost because the queue was deleted. If several processes declare a
    /// queue at the same time, its name may be returned to each of them.
    ///
    /// # Errors
    /// The broker can't be reached.
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error>;

    /// Publishes a batch, and returns the broker's confirm of each message, in order.
    async fn publish(&self, batch: &[CommandMessage]) -> Vec<Result<(), Error>>;

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
}
