//! Queues in the memory of this process. Messages are lost with it, and published again
//! from the task table at the next start.

use super::{Broker, Deliveries, Delivery, Error, HubEvent, QueueDepth};
use async_trait::async_trait;
use contract::envelope::Dispatch;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Number of events that a slow hub may lag behind before it has to resync.
const EVENT_BUFFER: usize = 4_096;

#[derive(Default)]
struct InMemoryQueue {
    ready: Mutex<VecDeque<Dispatch>>,
    message_added: Notify,
    consumers: AtomicU64,
}

impl InMemoryQueue {
    fn push(&self, dispatch: Dispatch, at_front: bool) {
        let mut ready = self.ready.lock();
        if at_front {
            ready.push_front(dispatch);
        } else {
            ready.push_back(dispatch);
        }
        self.message_added.notify_one();
    }

    async fn pop(&self) -> Dispatch {
        loop {
            let message_added = self.message_added.notified();
            if let Some(next) = self.ready.lock().pop_front() {
                return next;
            }
            message_added.await;
        }
    }
}

/// Counts a consumer until it ends.
struct ConsumerGuard(Arc<InMemoryQueue>);

impl ConsumerGuard {
    fn new(queue: Arc<InMemoryQueue>) -> Self {
        queue.consumers.fetch_add(1, Ordering::SeqCst);
        Self(queue)
    }
}

impl Drop for ConsumerGuard {
    fn drop(&mut self) {
        self.0.consumers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns a message to its queue if it is dropped without an acknowledgement.
struct UnackedMessage {
    queue: Arc<InMemoryQueue>,
    dispatch: Option<Dispatch>,
}

impl UnackedMessage {
    fn acknowledge(mut self) {
        self.dispatch = None;
    }
}

impl Drop for UnackedMessage {
    fn drop(&mut self) {
        if let Some(dispatch) = self.dispatch.take() {
            self.queue.push(dispatch, true);
        }
    }
}

/// The broker of a single process.
pub struct EmbeddedBroker {
    queues: Mutex<HashMap<String, Arc<InMemoryQueue>>>,
    events: broadcast::Sender<Arc<HubEvent>>,
}

impl Default for EmbeddedBroker {
    fn default() -> Self {
        Self { queues: Mutex::default(), events: broadcast::channel(EVENT_BUFFER).0 }
    }
}

impl EmbeddedBroker {
    fn get_or_create_queue(&self, name: &str) -> Arc<InMemoryQueue> {
        let mut queues = self.queues.lock();
        Arc::clone(queues.entry(name.to_owned()).or_default())
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        for queue in queues {
            self.get_or_create_queue(queue);
        }
        // Queues are never deleted, and a process that starts with new ones knows it.
        Ok(Vec::new())
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        batch
            .iter()
            .map(|dispatch| {
                self.get_or_create_queue(&dispatch.queue).push(dispatch.clone(), false);
                Ok(())
            })
            .collect()
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error> {
        let queue = self.get_or_create_queue(queue);
        let (sender, deliveries) = mpsc::channel(1);
        let prefetch_permits = Arc::new(Semaphore::new(prefetch.into()));
        let consumer = ConsumerGuard::new(Arc::clone(&queue));
        tokio::spawn(async move {
            let _consumer = consumer;
            loop {
                let Ok(prefetch_permit) = Arc::clone(&prefetch_permits).acquire_owned().await
                else {
                    return;
                };
                let dispatch = tokio::select! {
                    dispatch = queue.pop() => dispatch,
                    () = sender.closed() => return,
                };
                let unacked =
                    UnackedMessage { queue: Arc::clone(&queue), dispatch: Some(dispatch.clone()) };
                let delivery = Delivery {
                    content: Ok(dispatch),
                    ack_fn: Some(Box::new(move || {
                        Box::pin(async move {
                            unacked.acknowledge();
                            drop(prefetch_permit);
                        })
                    })),
                };
                if sender.send(delivery).await.is_err() {
                    return;
                }
            }
        });
        Ok(deliveries)
    }

    async fn queue_depth(&self, queue: &str) -> Result<QueueDepth, Error> {
        let queue = self.get_or_create_queue(queue);
        let ready = queue.ready.lock().len();
        Ok(QueueDepth {
            ready: u64::try_from(ready).unwrap_or(u64::MAX),
            consumers: queue.consumers.load(Ordering::SeqCst),
        })
    }

    fn broadcast(&self, event: HubEvent) {
        crate::metrics::record_event(&event);
        // Fails only if no hub is subscribed.
        let _ = self.events.send(Arc::new(event));
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>> {
        self.events.subscribe()
    }

    async fn run(&self, _stop: CancellationToken) {
        // There is no other node.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passes_the_port_suite() {
        super::super::suite::run(&EmbeddedBroker::default()).await;
    }
}
