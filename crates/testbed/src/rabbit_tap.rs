//! Listens to all messages of a broker.

use anyhow::Context;
use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// A queue of its own that gets a copy of all commands and hub events.
pub struct RabbitTap {
    _connection: Connection,
    consumer: Consumer,
}

impl RabbitTap {
    /// Starts to listen to the commands of `queues`, and to all hub events. The exchanges must
    /// exist.
    ///
    /// # Errors
    /// The broker can't be reached, or has no such exchange.
    pub async fn start(url: &str, queues: &[String]) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let commands = queues.iter().map(|queue| ("meanwhile.commands", queue.as_str()));
        for (exchange, key) in commands.chain([("meanwhile.hub_events", "#")]) {
            let (name, exchange) = (queue.name().clone(), ShortString::from(exchange));
            let (key, options) = (ShortString::from(key), QueueBindOptions::default());
            channel
                .queue_bind(name, exchange, key, options, FieldTable::default())
                .await
                .context("can't listen")?;
        }
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel
            .basic_consume(queue.name().clone(), "tap".into(), options, FieldTable::default())
            .await?;
        Ok(Self { _connection: connection, consumer })
    }

    /// Waits for the next message and returns its bytes.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> anyhow::Result<Vec<u8>> {
        Ok(self.next_with_traceparent().await?.0)
    }

    /// Waits for the next message and returns its bytes and its header `traceparent`.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next_with_traceparent(&mut self) -> anyhow::Result<(Vec<u8>, Option<String>)> {
        let delivery = self.consumer.next().await.context("the broker ended the consumer")??;
        let headers = delivery.properties.headers().as_ref();
        let traceparent = headers.and_then(|headers| headers.inner().get("traceparent"));
        let text = traceparent.and_then(AMQPValue::as_long_string).map(ToString::to_string);
        Ok((delivery.data, text))
    }
}
