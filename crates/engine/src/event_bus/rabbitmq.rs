//! Bus on a RabbitMQ server. Each node consumes an exclusive queue of its own, which is
//! bound to the exchange of hub events.

use super::{EventBus, HubEvent, SUBSCRIBER_BUFFER, wire_format};
use crate::rabbitmq::{ConnectError, RabbitMqServer, bind_queue, declare_exchange};
use async_trait::async_trait;
use contract::envelope::EnvelopeError;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Consumer, ExchangeKind,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Exchange of hub events. The routing key of an event is its kind, such as
/// `task.succeeded`.
const HUB_EVENTS_EXCHANGE: &str = "meanwhile.hub_events";
/// Maximum number of events that wait for a slow node. Older ones are dropped, and the
/// node finds the gap.
const MAX_NODE_BACKLOG: i64 = 10_000;
/// Number of events that may wait for the connection; more are dropped.
const OUTGOING_BUFFER: usize = 4_096;
/// Time in which a stopping process sends its last events; later ones are dropped.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// First and longest delay before a reconnect.
const RECONNECT_BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

/// Routing keys of the events that may create work. A node without pages needs no others,
/// and these are a small part of all.
const WORKER_ROUTING_KEYS: &[&str] =
    &["job.accepted", "job.resumed", "job.reopened", "task.created", "task.requeued"];
/// Routing key of all events.
const ALL_ROUTING_KEYS: &[&str] = &["#"];

/// Why events are not forwarded.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("RabbitMQ can't be reached: {0}")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    RabbitMq(#[from] lapin::Error),
    #[error("the queue of this node was deleted")]
    QueueDeleted,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// The event bus on a RabbitMQ server. It connects while [`EventBus::run`] runs, and
/// reconnects after an error.
pub struct RabbitMqEventBus {
    server: RabbitMqServer,
    /// Routing keys of the events that this node receives.
    routing_keys: &'static [&'static str],
    /// Identifies this node, so that it ignores its own events when they come back.
    node_id: Uuid,
    subscribers: broadcast::Sender<Arc<HubEvent>>,
    outgoing: mpsc::Sender<Arc<HubEvent>>,
    /// Taken by [`EventBus::run`] while it runs.
    outgoing_receiver: Mutex<Option<mpsc::Receiver<Arc<HubEvent>>>>,
}

impl RabbitMqEventBus {
    /// Creates the bus of a node that receives all events, without connecting yet.
    pub fn new(server: RabbitMqServer) -> Self {
        let (outgoing, outgoing_receiver) = mpsc::channel(OUTGOING_BUFFER);
        Self {
            server,
            routing_keys: ALL_ROUTING_KEYS,
            node_id: Uuid::now_v7(),
            subscribers: broadcast::channel(SUBSCRIBER_BUFFER).0,
            outgoing,
            outgoing_receiver: Mutex::new(Some(outgoing_receiver)),
        }
    }

    /// Restricts the events of other nodes to those that may create work, for a node
    /// without pages.
    #[must_use]
    pub fn worker_only(self) -> Self {
        Self { routing_keys: WORKER_ROUTING_KEYS, ..self }
    }

    async fn start_consumer(&self, channel: &Channel) -> Result<Consumer, lapin::Error> {
        let queue = declare_node_queue(channel, self.routing_keys).await?;
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
        channel.basic_consume(queue, "".into(), options, FieldTable::default()).await
    }

    async fn forward_events(
        &self,
        channel: &Channel,
        mut consumer: Consumer,
        outgoing_receiver: &mut mpsc::Receiver<Arc<HubEvent>>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            tokio::select! {
                biased;
                Some(event) = outgoing_receiver.recv() => self.publish_event(channel, &event).await?,
                () = stop.cancelled() => return Ok(()),
                message = consumer.next() => {
                    let Some(message) = message else {
                        return Err(Error::QueueDeleted);
                    };
                    match wire_format::decode(&message?.data) {
                        Ok((sender, _)) if sender == self.node_id => {}
                        Ok((_, events)) => {
                            for event in events {
                                let _ = self.subscribers.send(Arc::new(event));
                            }
                        }
                        Err(error) => tracing::warn!(%error, "could not decode an event of another node"),
                    }
                }
            }
        }
    }

    async fn publish_event(&self, channel: &Channel, event: &HubEvent) -> Result<(), Error> {
        let now_ms = crate::clock::Clock::now_ms(&crate::clock::SystemClock);
        for wire_format::Message { kind, content_type, bytes } in
            wire_format::encode(event, self.node_id, now_ms)?
        {
            let properties = BasicProperties::default()
                .with_content_type(content_type.into())
                .with_type(format!("{kind}.v1").into());
            // No confirm is awaited, because events may be lost.
            channel
                .basic_publish(
                    HUB_EVENTS_EXCHANGE.into(),
                    ShortString::from(kind),
                    BasicPublishOptions::default(),
                    &bytes,
                    properties,
                )
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl EventBus for RabbitMqEventBus {
    /// Passes the event to the subscribers of this node at once, and queues it for the
    /// others.
    fn broadcast(&self, event: HubEvent) {
        let event = Arc::new(event);
        // Fails only if nobody is subscribed.
        let _ = self.subscribers.send(Arc::clone(&event));
        if self.outgoing.try_send(event).is_err() {
            tracing::debug!("an event for other nodes was dropped; they read the store");
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>> {
        self.subscribers.subscribe()
    }

    /// Forwards events to and from the exchange. Events that were broadcast before `stop`
    /// are sent first.
    async fn run(&self, stop: CancellationToken) {
        let receiver = self.outgoing_receiver.lock().take();
        let Some(mut outgoing_receiver) = receiver else { return };
        let mut backoff = RECONNECT_BACKOFF[0];
        let mut is_first_connection = true;
        loop {
            let session = async {
                let connection = self.server.connect().await?;
                let channel = connection.create_channel().await?;
                let consumer = self.start_consumer(&channel).await?;
                backoff = RECONNECT_BACKOFF[0];
                if !std::mem::take(&mut is_first_connection) {
                    let _ = self.subscribers.send(Arc::new(HubEvent::ResyncRequired));
                }
                self.forward_events(&channel, consumer, &mut outgoing_receiver, &stop).await?;
                // An orderly close doesn't lose what was sent.
                Ok::<(), Error>(connection.close(200, "".into()).await?)
            };
            let shutdown_timeout = async {
                stop.cancelled().await;
                tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
            };
            tokio::select! {
                () = shutdown_timeout => break,
                result = session => if let Err(error) = result {
                    tracing::warn!(%error, "events are not forwarded between nodes");
                    is_first_connection = false;
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(RECONNECT_BACKOFF[1]);
        }
        // Another run can continue where this one ended.
        *self.outgoing_receiver.lock() = Some(outgoing_receiver);
    }
}

/// Declares the queue of one node, bound to the events with these routing keys, and returns
/// its name.
async fn declare_node_queue(
    channel: &Channel,
    routing_keys: &[&str],
) -> Result<ShortString, lapin::Error> {
    declare_exchange(channel, HUB_EVENTS_EXCHANGE, ExchangeKind::Topic).await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(MAX_NODE_BACKLOG));
    let declared = channel.queue_declare("".into(), options, arguments).await?;
    for routing_key in routing_keys {
        bind_queue(
            channel,
            declared.name().clone(),
            HUB_EVENTS_EXCHANGE,
            ShortString::from(*routing_key),
        )
        .await?;
    }
    Ok(declared.name().clone())
}
