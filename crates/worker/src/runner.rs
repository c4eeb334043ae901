//! Takes deliveries, passes the gate, claims, calls, finishes, acknowledges.

mod call;
mod deliver;

use crate::{
    registry::{AnyHandler, Registry},
    together::{Claims, Ends, Together},
};
use engine::{
    broker::Broker,
    gate::Gates,
    relay::{self, Bell},
    store::{QueueGeneration, Store},
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a runner works with.
pub struct Options {
    pub store: Store,
    pub broker: Arc<dyn Broker>,
    pub gates: Gates,
    pub bell: Bell,
    pub registry: Registry,
    /// This worker's name, as attempts tell it.
    pub name: String,
}

/// The limit of one request: this part of a lease.
const CALL: f64 = 1.0 / 2.0;
/// From the first pause to the longest, each twice the one before.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];
/// A consumer looks this often whether messages of its queue were found lost.
const LOOK: Duration = Duration::from_secs(2);

struct Shared {
    store: Store,
    claims: Together<Claims>,
    ends: Together<Ends>,
    broker: Arc<dyn Broker>,
    gates: Gates,
    bell: Bell,
    name: String,
    lease: Duration,
}

/// How long one request may take under a lease of that length. A handler
/// begins none that could not take so long before the handler is stopped.
pub fn call_limit(lease: Duration) -> Duration {
    lease.mul_f64(CALL)
}

/// Runs until `stop`, then drains: calls under way finish, nothing new is
/// claimed.
pub async fn run(options: Options, stop: CancellationToken) {
    let Options { store, broker, gates, bell, registry, name } = options;
    let tracker = TaskTracker::new();
    // Places are kept until the last call has drained.
    let drained = CancellationToken::new();
    let (kept, end) = (gates.clone(), drained.clone());
    let keeper = tokio::spawn(async move { kept.keep(end).await });
    let lease = Duration::from_millis(u64::try_from(store.lease_ms()).unwrap_or_default());
    let claims = Together::new(Claims { store: store.clone(), worker: name.clone() });
    let ends = Together::new(Ends { store: store.clone(), broker: Arc::clone(&broker) });
    let shared = Arc::new(Shared { store, claims, ends, broker, gates, bell, name, lease });
    for consumer in registry.consumers {
        let shared = Arc::clone(&shared);
        let (stop, calls) = (stop.clone(), tracker.clone());
        tracker.spawn(async move {
            let consume = Consume {
                queue: consumer.queue.name,
                slots: consumer.queue.concurrency,
                account: consumer.account.map(Into::into),
                handler: consumer.handler,
            };
            consume.run(shared, calls, stop).await;
        });
    }
    tracker.close();
    tracker.wait().await;
    drained.cancel();
    let _ = keeper.await;
}

struct Consume {
    queue: String,
    slots: u16,
    account: Option<Arc<str>>,
    handler: Arc<dyn AnyHandler>,
}

impl Consume {
    async fn run(self, shared: Arc<Shared>, calls: TaskTracker, stop: CancellationToken) {
        let mut pause = BACK_OFF[0];
        while !stop.is_cancelled() {
            let consumed = async {
                let queues = std::slice::from_ref(&self.queue);
                if relay::declare(&shared.store, shared.broker.as_ref(), queues).await? > 0 {
                    shared.bell.ring();
                }
                // Before it consumes: what is found lost from here on may be lost
                // to this consumer.
                let generation = shared.store.queue_generation(&self.queue).await?;
                let deliveries = shared.broker.consume(&self.queue, self.slots).await?;
                Ok::<_, relay::Error>((deliveries, generation))
            };
            match consumed.await {
                Ok((mut deliveries, generation)) => {
                    pause = BACK_OFF[0];
                    // What waits here when the stream ends comes to whoever
                    // consumes next.
                    let over = stop.child_token();
                    let _over = over.clone().drop_guard();
                    let mut lost = pin!(self.messages_lost(&shared.store, &generation));
                    loop {
                        let delivery = tokio::select! {
                            () = stop.cancelled() => return,
                            delivery = deliveries.recv() => delivery,
                            () = &mut lost => break,
                        };
                        // A stream that ends is a cancel, such as that of a
                        // queue that was deleted: declare and consume again.
                        let Some(delivery) = delivery else { break };
                        let worker = Worker {
                            shared: Arc::clone(&shared),
                            account: self.account.clone(),
                            handler: Arc::clone(&self.handler),
                        };
                        let (queue, over) = (self.queue.clone(), over.clone());
                        calls.spawn(async move { worker.deliver(&queue, delivery, &over).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(queue = self.queue, %error, "could not consume");
                    pause = (pause * 2).min(BACK_OFF[1]);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Waits until messages of the queue were found lost. A stream that was there
    /// before may not have ended and bring nothing: where a queue is deleted and
    /// declared again at once, RabbitMQ has its consumer go over to the new one
    /// instead of cancelling it (`handle_consuming_queue_down_or_eol` in its
    /// `rabbit_channel.erl`), and 3.10 counts messages as delivered to it that it
    /// never sends.
    async fn messages_lost(&self, store: &Store, known: &QueueGeneration) {
        loop {
            sleep(LOOK).await;
            match store.queue_generation(&self.queue).await {
                Ok(generation) if generation == *known => {}
                Ok(_) => {
                    tracing::info!(self.queue, "messages were lost; the consumer starts again");
                    return;
                }
                Err(error) => tracing::debug!(self.queue, %error, "can't see what was lost"),
            }
        }
    }
}

/// Works at one delivery.
struct Worker {
    shared: Arc<Shared>,
    account: Option<Arc<str>>,
    handler: Arc<dyn AnyHandler>,
}
