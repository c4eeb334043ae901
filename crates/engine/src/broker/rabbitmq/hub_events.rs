//! Hub events between nodes, through the facts exchange. Best effort: a node that missed
//! facts finds the gap in `seq` and reads the store.

use super::{
    super::{Error, HubEvent, wire_format},
    topology,
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    options::{BasicConsumeOptions, BasicPublishOptions},
    types::{FieldTable, ShortString},
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Number of events that a slow hub may lag behind before it has to resync.
const SUBSCRIBER_BUFFER: usize = 4_096;
/// Number of events that may wait for the connection; more are dropped.
const OUTGOING_BUFFER: usize = 4_096;
/// Time in which a stopping process sends its last events; later ones are dropped.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// First and longest delay before a reconnect.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

/// Exchanges hub events with the other nodes.
pub struct EventExchange {
    /// Routing keys of the events that this node receives.
    routing_keys: &'static [&'static str],
    /// Identifies this node, so that it ignores its own events when they come back.
    node_id: Uuid,
    subscribers: broadcast::Sender<Arc<HubEvent>>,
    outgoing: mpsc::Sender<Arc<HubEvent>>,
    /// Taken by [`EventExchange::run`] while it runs.
    outgoing_receiver: Mutex<Option<mpsc::Receiver<Arc<HubEvent>>>>,
}

/// Events that may create work. A node without pages needs no others, and these are a
/// small part of all.
pub const WORKER_ROUTING_KEYS: &[&str] =
    &["job.accepted", "job.resumed", "job.reopened", "task.created", "task.requeued"];
/// All events.
pub const ALL_ROUTING_KEYS: &[&str] = &["#"];

impl EventExchange {
    /// Creates an exchange that receives events with these routing keys.
    pub fn new(routing_keys: &'static [&'static str]) -> Self {
        let (outgoing, outgoing_receiver) = mpsc::channel(OUTGOING_BUFFER);
        Self {
            routing_keys,
            node_id: Uuid::now_v7(),
            subscribers: broadcast::channel(SUBSCRIBER_BUFFER).0,
            outgoing,
            outgoing_receiver: Mutex::new(Some(outgoing_receiver)),
        }
    }

    /// Sends an event to the hub of this node at once, to others through the exchange.
    pub fn broadcast(&self, event: HubEvent) {
        crate::metrics::record_event(&event);
        let event = Arc::new(event);
        let _ = self.subscribers.send(Arc::clone(&event));
        if self.outgoing.try_send(event).is_err() {
            tracing::debug!("an event for other nodes was dropped; they read the store");
        }
    }

    /// Subscribes to events of this node and the others.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>> {
        self.subscribers.subscribe()
    }

    /// Forwards events to and from the exchange until `stop`. Events that were broadcast
    /// before `stop` are sent first.
    pub async fn run<C>(&self, connect: impl Fn() -> C, stop: CancellationToken)
    where
        C: Future<Output = Result<Connection, Error>>,
    {
        let receiver = self.outgoing_receiver.lock().take();
        let Some(mut outgoing_receiver) = receiver else { return };
        let mut backoff = BACK_OFF[0];
        let mut is_first_connection = true;
        loop {
            let session = async {
                let connection = connect().await?;
                let channel = connection.create_channel().await?;
                let consumer = self.start_consumer(&channel).await?;
                backoff = BACK_OFF[0];
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
            backoff = (backoff * 2).min(BACK_OFF[1]);
        }
        // Another run can continue where this one ended.
        *self.outgoing_receiver.lock() = Some(outgoing_receiver);
    }

    async fn start_consumer(&self, channel: &Channel) -> Result<Consumer, Error> {
        let queue = topology::declare_node_queue(channel, self.routing_keys).await?;
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
        Ok(channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?)
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
                        return Err(Error::Unreachable("the event queue was cancelled".into()));
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
                    topology::FACTS_EXCHANGE.into(),
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
