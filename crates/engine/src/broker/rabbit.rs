//! RabbitMQ through `lapin`: durable quorum queues, publisher confirms,
//! connections that this module supervises itself.

use super::{Broker, Deliveries, Delivery, Error, News};
use async_trait::async_trait;
use contract::envelope::{CONTENT_TYPE, Dispatch};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{Mutex, broadcast, mpsc};

/// Where commands are published; each queue is bound by its own name.
pub const COMMANDS: &str = "meanwhile.commands";
/// A message that is not confirmed within this time counts as not published.
const CONFIRM: Duration = Duration::from_secs(10);

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// A RabbitMQ node. Connections are made when they are needed and made anew
/// when they broke; callers retry with a back-off of their own.
pub struct Rabbit {
    url: String,
    /// The one publishing channel: its lock is held while a batch waits for
    /// its confirms, so it has one owner at any time.
    publisher: Mutex<Option<(Connection, Channel)>>,
    consumers: Mutex<Option<Connection>>,
    news: broadcast::Sender<Arc<News>>,
}

impl Rabbit {
    /// `url` as in `amqp://user:password@host:port/vhost`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            publisher: Mutex::default(),
            consumers: Mutex::default(),
            news: broadcast::channel(4_096).0,
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connect = Connection::connect(&self.url, ConnectionProperties::default());
        Ok(tokio::time::timeout(CONFIRM, connect)
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

    /// Publishes the batch pipelined: all are sent before the first confirm
    /// is waited for.
    async fn publish_on(channel: &Channel, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        let mut pending = Vec::with_capacity(batch.len());
        for dispatch in batch {
            pending.push(Self::send(channel, dispatch).await);
        }
        let mut confirmed = Vec::with_capacity(batch.len());
        for sent in pending {
            confirmed.push(match sent {
                Err(error) => Err(error),
                Ok(confirm) => match tokio::time::timeout(CONFIRM, confirm).await {
                    Err(_) => Err(Error::Unreachable("no confirm within 10 s".into())),
                    Ok(Err(error)) => Err(error.into()),
                    Ok(Ok(Confirmation::Ack(None))) => Ok(()),
                    Ok(Ok(Confirmation::Ack(Some(_)))) => {
                        Err(Error::Refused("no queue takes it".into()))
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

fn arguments() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000));
    table.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(100_000));
    table
}

#[async_trait]
impl Broker for Rabbit {
    async fn declare(&self, queues: &[String]) -> Result<(), Error> {
        let channel = self.channel().await?;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel
            .exchange_declare(
                COMMANDS.into(),
                lapin::ExchangeKind::Direct,
                durable,
                FieldTable::default(),
            )
            .await?;
        for queue in queues {
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            let name = ShortString::from(queue.as_str());
            channel.queue_declare(name.clone(), durable, arguments()).await?;
            channel
                .queue_bind(
                    name.clone(),
                    COMMANDS.into(),
                    name,
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
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
                *publisher = Some((connection, channel));
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
        let (sender, deliveries) = mpsc::channel(1);
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

    async fn ready(&self, queue: &str) -> Result<u64, Error> {
        let channel = self.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared =
            channel.queue_declare(ShortString::from(queue), passive, FieldTable::default()).await?;
        Ok(declared.message_count().into())
    }

    fn announce(&self, news: News) {
        let _ = self.news.send(Arc::new(news));
    }

    fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }
}
