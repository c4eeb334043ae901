//! RabbitMQ through `lapin`: connections, which their owners supervise and open again
//! themselves, and declarations that the task queue and the event bus share.

use lapin::{
    Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions},
    types::{FieldTable, ShortString},
    uri::AMQPUri,
};
use std::time::Duration;
use tls::TlsFailure;
use tokio::time::timeout;

/// Maximum wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Heartbeat interval in seconds. A connection that is silent for two of them is dead.
const HEARTBEAT_SECS: u16 = 10;

/// The URL of a RabbitMQ server can't be parsed.
#[derive(Debug, thiserror::Error)]
#[error("the URL of RabbitMQ can't be read: {0}")]
pub struct InvalidUrl(String);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error("{}", describe(.0))]
    RabbitMq(#[from] lapin::Error),
}

/// Returns the text of an error, with a failure of TLS in words.
fn describe(error: &lapin::Error) -> String {
    match TlsFailure::find(error) {
        Some(failure) => format!("no connection over TLS: {failure}"),
        None => error.to_string(),
    }
}

/// Address of a RabbitMQ server, with the credentials for it.
#[derive(Clone)]
pub struct RabbitMqServer {
    uri: AMQPUri,
}

impl RabbitMqServer {
    /// Parses `amqp://user:password@host:port/vhost`, or `amqps://` for TLS, and connects to
    /// nothing yet.
    ///
    /// # Errors
    /// The URL can't be parsed.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let mut uri: AMQPUri = url.parse().map_err(InvalidUrl)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self { uri })
    }

    /// Opens a connection. It does not recover by itself: its owner opens another one.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        tls::install_provider();
        let connect = Connection::connect_uri(self.uri.clone(), ConnectionProperties::default());
        Ok(timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| ConnectError::Timeout)??)
    }
}

pub(crate) async fn declare_exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(ShortString::from(name), kind, durable, FieldTable::default()).await
}

pub(crate) async fn bind_queue(
    channel: &Channel,
    queue: ShortString,
    exchange: &str,
    routing_key: ShortString,
) -> Result<(), lapin::Error> {
    let (exchange, options) = (ShortString::from(exchange), QueueBindOptions::default());
    channel.queue_bind(queue, exchange, routing_key, options, FieldTable::default()).await
}
