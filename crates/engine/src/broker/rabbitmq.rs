//! RabbitMQ through `lapin`: durable quorum queues, publisher confirms, and connections
//! that this module supervises itself.

mod hub_events;
mod topology;

use super::{Broker, Deliveries, Delivery, Error, HubEvent, QueueDepth};
use async_trait::async_trait;
use contract::envelope::{CONTENT_TYPE, Dispatch};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, LongString, ShortString},
    uri::AMQPUri,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, broadcast},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use topology::COMMANDS_EXCHANGE;

/// Maximum wait for a confirm; a message without one counts as not published.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// Heartbeat interval in seconds. A connection that is silent for two of them is dead.
const HEARTBEAT_SECS: u16 = 10;

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Returns whether RabbitMQ answered 404 because the queue does not exist.
fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
}

/// The broker on a RabbitMQ server. Connects when it is first used and reconnects after an
/// error; callers retry with their own back-off.
pub struct RabbitMqBroker {
    uri: AMQPUri,
    /// The only publishing channel. Its lock is held while a batch waits for its confirms.
    publisher: Mutex<Option<(Connection, Channel)>>,
    consumer_connection: Mutex<Option<Connection>>,
    events: hub_events::EventExchange,
}

impl RabbitMqBroker {
    /// Creates the broker without connecting yet. `url` has the form
    /// `amqp://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// The URL can't be parsed.
    pub fn new(url: &str) -> Result<Self, Error> {
        let mut uri: AMQPUri = url.parse().map_err(Error::Unreachable)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self {
            uri,
            publisher: Mutex::default(),
            consumer_connection: Mutex::default(),
            events: hub_events::EventExchange::new(hub_events::ALL_ROUTING_KEYS),
        })
    }

    /// Restricts the events to those that may create work, for a node without pages.
    #[must_use]
    pub fn worker_only(self) -> Self {
        Self { events: hub_events::EventExchange::new(hub_events::WORKER_ROUTING_KEYS), ..self }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connect = Connection::connect_uri(self.uri.clone(), ConnectionProperties::default());
        Ok(timeout(CONFIRM_TIMEOUT, connect)
            .await
            .map_err(|_| Error::Unreachable("no answer within 10 s".into()))??)
    }

    async fn open_channel(&self) -> Result<Channel, Error> {
        let mut consumer_connection = self.consumer_connection.lock().await;
        let connection = match consumer_connection.take().filter(|c| c.status().connected()) {
            Some(connection) => connection,
            None => self.connect().await?,
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
    async fn publish_on(channel: &Channel, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        let timeout_error = || Error::Unreachable("no confirm within 10 s".into());
        let mut pending = Vec::with_capacity(batch.len());
        for dispatch in batch {
            let sent = timeout_at(deadline, Self::send_dispatch(channel, dispatch)).await;
            pending.push(sent.unwrap_or_else(|_| Err(timeout_error())));
        }
        let mut confirmed = Vec::with_capacity(batch.len());
        for (dispatch, sent) in batch.iter().zip(pending) {
            confirmed.push(match sent {
                Err(error) => Err(error),
                Ok(confirm) => match timeout_at(deadline, confirm).await {
                    Err(_) => Err(timeout_error()),
                    Ok(Err(error)) => Err(error.into()),
                    Ok(Ok(Confirmation::Ack(None))) => Ok(()),
                    Ok(Ok(Confirmation::Ack(Some(_)))) => {
                        Err(Error::QueueNotFound(dispatch.queue.clone()))
                    }
                    Ok(Ok(_)) => Err(Error::Rejected("the queue is full".into())),
                },
            });
        }
        confirmed
    }

    async fn send_dispatch(
        channel: &Channel,
        dispatch: &Dispatch,
    ) -> Result<impl Future<Output = Result<Confirmation, lapin::Error>> + use<>, Error> {
        let now_ms = crate::clock::Clock::now_ms(&crate::clock::SystemClock);
        let mut headers = FieldTable::default();
        if let Some(traceparent) = &dispatch.traceparent {
            let value = AMQPValue::LongString(LongString::from(traceparent.as_str()));
            headers.insert("traceparent".into(), value);
        }
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(2)
            .with_message_id(dispatch.message_id().into())
            .with_correlation_id(dispatch.job.to_string().into())
            .with_type(format!("{}.v{}", dispatch.kind, dispatch.version).into())
            .with_timestamp(u64::try_from(now_ms / 1000).unwrap_or_default())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        Ok(channel
            .basic_publish(
                COMMANDS_EXCHANGE.into(),
                ShortString::from(dispatch.queue.as_str()),
                options,
                &dispatch.encode(now_ms)?,
                properties,
            )
            .await?)
    }
}

#[async_trait]
impl Broker for RabbitMqBroker {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        let channel = self.open_channel().await?;
        let empty = topology::declare_command_queues(&channel, queues).await?;
        channel.close(200, "done".into()).await?;
        Ok(empty)
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        let mut publisher = self.publisher.lock().await;
        let open_publisher = publisher.take().filter(|(_, channel)| channel.status().connected());
        let open_publisher = match open_publisher {
            Some(open) => Ok(open),
            None => {
                async {
                    let connection = self.connect().await?;
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
        let (sender, deliveries) = tokio::sync::mpsc::channel(1);
        let queue = queue.to_owned();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = consumer.next() => message,
                    () = sender.closed() => break,
                };
                // Both the end of the stream and an error end the consumer.
                let Some(Ok(message)) = message else { break };
                let content = Dispatch::decode(&queue, &message.data)
                    .map_err(|error| (message.data.clone(), error));
                let acker = message.acker.clone();
                let delivery = Delivery {
                    content,
                    ack_fn: Some(Box::new(move || {
                        Box::pin(async move {
                            if let Err(error) = acker.ack(BasicAckOptions::default()).await {
                                tracing::debug!(%error, "an acknowledgement was lost");
                            }
                        })
                    })),
                };
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

    fn broadcast(&self, event: HubEvent) {
        self.events.broadcast(event);
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>> {
        self.events.subscribe()
    }

    async fn run(&self, stop: CancellationToken) {
        self.events.run(|| self.connect(), stop).await;
    }
}
