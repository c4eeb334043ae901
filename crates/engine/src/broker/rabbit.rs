//! RabbitMQ through `lapin`: durable quorum queues, publisher confirms,
//! connections that this module supervises itself.

mod news;
mod topology;

use super::{Broker, Deliveries, Delivery, Depth, Error, News};
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
use topology::COMMANDS;

/// A message that is not confirmed within this time counts as not published.
const CONFIRM: Duration = Duration::from_secs(10);
/// A connection that is silent for two of these is dead, s.
const HEARTBEAT_S: u16 = 10;

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Whether RabbitMQ answered 404: there is no such queue.
fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
}

/// A RabbitMQ node. Connections are made when they are needed and made anew
/// when they broke; callers retry with a back-off of their own.
pub struct Rabbit {
    uri: AMQPUri,
    /// The one publishing channel: its lock is held while a batch waits for
    /// its confirms, so it has one owner at any time.
    publisher: Mutex<Option<(Connection, Channel)>>,
    consumers: Mutex<Option<Connection>>,
    news: news::Exchange,
}

impl Rabbit {
    /// `url` as in `amqp://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// The URL can't be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        let mut uri: AMQPUri = url.parse().map_err(Error::Unreachable)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(Self {
            uri,
            publisher: Mutex::default(),
            consumers: Mutex::default(),
            news: news::Exchange::new(news::OF_ALL),
        })
    }

    /// Of a node without pages: it hears of what may give it something to do.
    #[must_use]
    pub fn for_work(self) -> Self {
        Self { news: news::Exchange::new(news::OF_WORK), ..self }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connect = Connection::connect_uri(self.uri.clone(), ConnectionProperties::default());
        Ok(timeout(CONFIRM, connect)
            .await
            .map_err(|_| Error::Unreachable("no answer within 10 s".into()))??)
    }

    async fn channel(&self) -> Result<Channel, Error> {
        let mut consumers = self.consumers.lock().await;
        let connection = match consumers.take().filter(|c| c.status().connected()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let channel = connection.create_channel().await;
        *consumers = Some(connection);
        Ok(channel?)
    }

    /// Returns how full a queue is, or `None` where it does not exist.
    async fn counts(&self, queue: &str) -> Result<Option<Depth>, Error> {
        let channel = self.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let name = ShortString::from(queue);
        let declared = match channel.queue_declare(name, passive, FieldTable::default()).await {
            Ok(declared) => declared,
            // RabbitMQ closes the channel with it.
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let depth = Depth {
            ready: declared.message_count().into(),
            consumers: declared.consumer_count().into(),
        };
        channel.close(200, "done".into()).await?;
        Ok(Some(depth))
    }

    /// Publishes the batch pipelined: all are sent before the first confirm
    /// is waited for.
    async fn publish_on(channel: &Channel, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        let deadline = Instant::now() + CONFIRM;
        let late = || Error::Unreachable("no confirm within 10 s".into());
        let mut pending = Vec::with_capacity(batch.len());
        for dispatch in batch {
            let sent = timeout_at(deadline, Self::send(channel, dispatch)).await;
            pending.push(sent.unwrap_or_else(|_| Err(late())));
        }
        let mut confirmed = Vec::with_capacity(batch.len());
        for (dispatch, sent) in batch.iter().zip(pending) {
            confirmed.push(match sent {
                Err(error) => Err(error),
                Ok(confirm) => match timeout_at(deadline, confirm).await {
                    Err(_) => Err(late()),
                    Ok(Err(error)) => Err(error.into()),
                    Ok(Ok(Confirmation::Ack(None))) => Ok(()),
                    Ok(Ok(Confirmation::Ack(Some(_)))) => {
                        Err(Error::NoQueue(dispatch.queue.clone()))
                    }
                    Ok(Ok(_)) => Err(Error::Refused("the queue is full".into())),
                },
            });
        }
        confirmed
    }

    async fn send(
        channel: &Channel,
        dispatch: &Dispatch,
    ) -> Result<impl Future<Output = Result<Confirmation, lapin::Error>> + use<>, Error> {
        let at = crate::clock::Clock::now_ms(&crate::clock::System);
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
            .with_timestamp(u64::try_from(at / 1000).unwrap_or_default())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        Ok(channel
            .basic_publish(
                COMMANDS.into(),
                ShortString::from(dispatch.queue.as_str()),
                options,
                &dispatch.encode(at)?,
                properties,
            )
            .await?)
    }
}

#[async_trait]
impl Broker for Rabbit {
    async fn declare(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        let channel = self.channel().await?;
        let empty = topology::declare(&channel, queues).await?;
        channel.close(200, "done".into()).await?;
        Ok(empty)
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        let mut publisher = self.publisher.lock().await;
        let open = publisher.take().filter(|(_, channel)| channel.status().connected());
        let open = match open {
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
        match open {
            Ok((connection, channel)) => {
                let confirmed = Self::publish_on(&channel, batch).await;
                // A channel that kept one confirm to itself is not trusted
                // with the next batch.
                let broke =
                    |result: &Result<(), Error>| matches!(result, Err(Error::Unreachable(_)));
                if !confirmed.iter().any(broke) {
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

    async fn consume(&self, queue: &str, slots: u16) -> Result<Deliveries, Error> {
        let channel = self.channel().await?;
        channel.basic_qos(slots, BasicQosOptions::default()).await?;
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
                // The end of the stream, or an error, is a cancel.
                let Some(Ok(message)) = message else { break };
                let content = Dispatch::decode(&queue, &message.data)
                    .map_err(|error| (message.data.clone(), error));
                let acker = message.acker.clone();
                let delivery = Delivery {
                    content,
                    acknowledge: Some(Box::new(move || {
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
            // Closing the channel gives back what is unacknowledged.
            let _ = channel.close(200, "done".into()).await;
        });
        Ok(deliveries)
    }

    async fn depth(&self, queue: &str) -> Result<Depth, Error> {
        self.counts(queue).await?.ok_or_else(|| Error::NoQueue(queue.into()))
    }

    fn announce(&self, news: News) {
        self.news.announce(news);
    }

    fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    async fn run(&self, stop: CancellationToken) {
        self.news.run(|| self.connect(), stop).await;
    }
}
