//! Queues on a RabbitMQ server: durable quorum queues and publisher confirms.

use super::{Deliveries, Delivery, Error, QueueDepth, TaskQueue};
use crate::rabbitmq::{ConnectError, RabbitMqServer, bind_queue, declare_exchange};
use async_trait::async_trait;
use contract::{
    envelope::{CONTENT_TYPE, CommandMessage},
    trace_context::TRACEPARENT,
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ErrorKind, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use std::{future::Future, time::Duration};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, timeout_at},
};

/// Exchange of commands. Each queue is bound to it by its own name.
const COMMANDS_EXCHANGE: &str = "meanwhile.commands";
/// Maximum wait for a confirm; a message without one counts as not published.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Returns whether RabbitMQ answered 404 because the queue does not exist.
fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
}

/// The command queues on a RabbitMQ server. Connects when it is first used and reconnects
/// after an error; callers retry with their own back-off.
pub struct RabbitMqTaskQueue {
    server: RabbitMqServer,
    /// The only publishing channel. Its lock is held while a batch waits for its confirms.
    publisher: Mutex<Option<(Connection, Channel)>>,
    consumer_connection: Mutex<Option<Connection>>,
}

impl RabbitMqTaskQueue {
    /// Creates the task queue without connecting yet.
    pub fn new(server: RabbitMqServer) -> Self {
        Self { server, publisher: Mutex::default(), consumer_connection: Mutex::default() }
    }

    async fn open_channel(&self) -> Result<Channel, Error> {
        let mut consumer_connection = self.consumer_connection.lock().await;
        let connection = match consumer_connection.take().filter(|c| c.status().connected()) {
            Some(connection) => connection,
            None => self.server.connect().await?,
        };
        let channel = connection.create_channel().await;
        *consumer_connection = Some(connection);
        Ok(channel?)
    }

    /// Returns how full a queue is; `None` if it does not exist.
    async fn find_queue_depth(&self, queue: &str) -> Result<Option<QueueDepth>, Error> {
        let channel = self.open_channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let name = ShortString::from(queue);
        let declared = match channel.queue_declare(name, passive, FieldTable::default()).await {
            Ok(declared) => declared,
            // This error closes the channel.
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let depth = QueueDepth {
            ready: declared.message_count().into(),
            consumers: declared.consumer_count().into(),
        };
        channel.close(200, "done".into()).await?;
        Ok(Some(depth))
    }

    /// Publishes the whole batch before it waits for the first confirm.
    async fn publish_on(channel: &Channel, batch: &[CommandMessage]) -> Vec<Result<(), Error>> {
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        let timeout_error = || Error::Unreachable("no confirm within 10 s".into());
        let mut pending = Vec::with_capacity(batch.len());
        for message in batch {
            let sent = timeout_at(deadline, Self::send_message(channel, message)).await;
            pending.push(sent.unwrap_or_else(|_| Err(timeout_error())));
        }
        let mut confirmed = Vec::with_capacity(batch.len());
        for (message, sent) in batch.iter().zip(pending) {
            confirmed.push(match sent {
                Err(error) => Err(error),
                Ok(confirm) => match timeout_at(deadline, confirm).await {
                    Err(_) => Err(timeout_error()),
                    Ok(Err(error)) => Err(error.into()),
                    Ok(Ok(Confirmation::Ack(None))) => Ok(()),
                    Ok(Ok(Confirmation::Ack(Some(_)))) => {
                        Err(Error::QueueNotFound(message.queue.clone()))
                    }
                    Ok(Ok(_)) => Err(Error::Rejected("the queue is full".into())),
                },
            });
        }
        confirmed
    }

    async fn send_message(
        channel: &Channel,
        message: &CommandMessage,
    ) -> Result<impl Future<Output = Result<Confirmation, lapin::Error>> + use<>, Error> {
        let now_ms = crate::clock::Clock::now_ms(&crate::clock::SystemClock);
        let mut headers = FieldTable::default();
        if let Some(traceparent) = &message.traceparent {
            let value = AMQPValue::LongString(LongString::from(traceparent.as_str()));
            headers.insert(TRACEPARENT.into(), value);
        }
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(2)
            .with_message_id(message.id().into())
            .with_correlation_id(message.job.to_string().into())
            .with_type(format!("{}.v{}", message.kind, message.version).into())
            .with_timestamp(u64::try_from(now_ms / 1000).unwrap_or_default())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        Ok(channel
            .basic_publish(
                COMMANDS_EXCHANGE.into(),
                ShortString::from(message.queue.as_str()),
                options,
                &message.encode(now_ms)?,
                properties,
            )
            .await?)
    }
}

#[async_trait]
impl TaskQueue for RabbitMqTaskQueue {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        let channel = self.open_channel().await?;
        let empty = declare_command_queues(&channel, queues).await?;
        channel.close(200, "done".into()).await?;
        Ok(empty)
    }

    async fn publish(&self, batch: &[CommandMessage]) -> Vec<Result<(), Error>> {
        let mut publisher = self.publisher.lock().await;
        let open_publisher = publisher.take().filter(|(_, channel)| channel.status().connected());
        let open_publisher = match open_publisher {
            Some(open) => Ok(open),
            None => {
                async {
                    let connection = self.server.connect().await?;
                    let channel = connection.create_channel().await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    Ok::<_, Error>((connection, channel))
                }
                .await
            }
        };
        match open_publisher {
            Ok((connection, channel)) => {
                let confirmed = Self::publish_on(&channel, batch).await;
                // A channel on which a confirm is missing isn't used for the next batch.
                let is_unreachable =
                    |result: &Result<(), Error>| matches!(result, Err(Error::Unreachable(_)));
                if !confirmed.iter().any(is_unreachable) {
                    *publisher = Some((connection, channel));
                }
                confirmed
            }
            Err(error) => {
                let why = error.to_string();
                batch.iter().map(|_| Err(Error::Unreachable(why.clone()))).collect()
            }
        }
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error> {
        let channel = self.open_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let mut consumer = channel
            .basic_consume(
                ShortString::from(queue),
                ShortString::from(""),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let (sender, deliveries) = mpsc::channel(1);
        let queue = queue.to_owned();
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    received = consumer.next() => received,
                    () = sender.closed() => break,
                };
                // Both the end of the stream and an error end the consumer.
                let Some(Ok(received)) = received else { break };
                let content = CommandMessage::decode(&queue, &received.data)
                    .map_err(|error| (received.data, error));
                let acker = received.acker;
                let delivery = Delivery::new(content, move || async move {
                    if let Err(error) = acker.ack(BasicAckOptions::default()).await {
                        tracing::debug!(%error, "an acknowledgement was lost");
                    }
                });
                if sender.send(delivery).await.is_err() {
                    break;
                }
            }
            // Closing the channel requeues unacknowledged messages.
            let _ = channel.close(200, "done".into()).await;
        });
        Ok(deliveries)
    }

    async fn queue_depth(&self, queue: &str) -> Result<QueueDepth, Error> {
        self.find_queue_depth(queue).await?.ok_or_else(|| Error::QueueNotFound(queue.into()))
    }
}

/// Declares the command queues, and returns those that have no ready message and no
/// consumer that could have unacknowledged ones. AMQP does not say whether a queue is new,
/// and a passive declaration of a missing queue is an error that closes the channel.
async fn declare_command_queues(
    channel: &Channel,
    queues: &[String],
) -> Result<Vec<String>, lapin::Error> {
    let mut empty = Vec::new();
    declare_exchange(channel, COMMANDS_EXCHANGE, ExchangeKind::Direct).await?;
    for queue in queues {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let name = ShortString::from(queue.as_str());
        let declared =
            channel.queue_declare(name.clone(), durable, command_queue_arguments()).await?;
        if declared.message_count() == 0 && declared.consumer_count() == 0 {
            empty.push(queue.clone());
        }
        bind_queue(channel, name.clone(), COMMANDS_EXCHANGE, name).await?;
    }
    Ok(empty)
}

/// Returns the arguments of a command queue. It has no dead-letter exchange and no delays,
/// because both are rows in SQL, where they are visible. The delivery limit is far above the
/// number of lost workers after which SQL fails a task.
fn command_queue_arguments() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000));
    table.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(100_000));
    table
}
