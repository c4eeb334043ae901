//! Task queue in memory with the behaviour of RabbitMQ that a worker has to cope with.

use async_trait::async_trait;
use contract::envelope::CommandMessage;
use engine::task_queue::{
    Deliveries, Delivery, Error, QueueDepth, TaskQueue, embedded::EmbeddedTaskQueue,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

/// Content of a message that is no command.
pub const UNREADABLE_MESSAGE: &[u8] = b"{\"specversion\":\"1.0\",\0";

/// What goes wrong in a [`FakeTaskQueue`].
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Each consumer first receives [`UNREADABLE_MESSAGE`].
    pub sends_unreadable_first: bool,
    /// The first stream of each queue delivers nothing and does not end; its messages count
    /// as delivered.
    pub silences_first_consumer: bool,
}

/// Task queue that redelivers nothing while its consumer lives: it keeps deliveries that
/// were dropped without an acknowledgement, and their prefetch slots.
#[derive(Default)]
pub struct FakeTaskQueue {
    embedded: EmbeddedTaskQueue,
    faults: Faults,
    counts: Arc<Counts>,
    /// The silenced stream of each queue.
    silenced: Mutex<Vec<(String, Deliveries)>>,
}

#[derive(Default)]
struct Counts {
    delivered: AtomicUsize,
    unreadable_acknowledged: AtomicUsize,
    lost_deliveries: Mutex<Vec<Delivery>>,
}

/// Delivery of the embedded queue, whose drop is recorded and hidden from that queue.
struct LossRecorder {
    delivery: Option<Delivery>,
    counts: Arc<Counts>,
}

impl LossRecorder {
    /// Wraps a delivery: only its acknowledgement reaches the embedded queue.
    fn wrap(mut delivery: Delivery, counts: Arc<Counts>) -> Delivery {
        let content = std::mem::replace(&mut delivery.content, unreadable_content(""));
        let mut recorder = Self { delivery: Some(delivery), counts };
        Delivery::new(content, move || async move {
            if let Some(delivery) = recorder.delivery.take() {
                delivery.ack().await;
            }
        })
    }
}

impl Drop for LossRecorder {
    fn drop(&mut self) {
        self.counts.lost_deliveries.lock().unwrap().extend(self.delivery.take());
    }
}

impl FakeTaskQueue {
    pub fn new(faults: Faults) -> Arc<Self> {
        Arc::new(Self { faults, ..Self::default() })
    }

    /// Returns the number of deliveries that consumers have received.
    pub fn delivered_count(&self) -> usize {
        self.counts.delivered.load(Ordering::SeqCst)
    }

    /// Returns the number of unreadable messages that were acknowledged.
    pub fn unreadable_acknowledged_count(&self) -> usize {
        self.counts.unreadable_acknowledged.load(Ordering::SeqCst)
    }

    /// Returns the number of deliveries that were dropped without an acknowledgement.
    pub fn lost_count(&self) -> usize {
        self.counts.lost_deliveries.lock().unwrap().len()
    }

    fn unreadable_delivery(&self, queue: &str) -> Delivery {
        let counts = Arc::clone(&self.counts);
        Delivery::new(unreadable_content(queue), move || async move {
            counts.unreadable_acknowledged.fetch_add(1, Ordering::SeqCst);
        })
    }
}

fn unreadable_content(
    queue: &str,
) -> Result<CommandMessage, (Vec<u8>, contract::envelope::EnvelopeError)> {
    CommandMessage::decode(queue, UNREADABLE_MESSAGE)
        .map_err(|error| (UNREADABLE_MESSAGE.to_vec(), error))
}

#[async_trait]
impl TaskQueue for FakeTaskQueue {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare_queues(queues).await
    }

    async fn publish(&self, batch: &[CommandMessage]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error> {
        let mut real = self.embedded.consume(queue, prefetch).await?;
        let (sender, deliveries) = mpsc::channel(1);
        if self.faults.silences_first_consumer {
            let mut silenced = self.silenced.lock().unwrap();
            if !silenced.iter().any(|(known, _)| known == queue) {
                silenced.push((queue.to_owned(), real));
                tokio::spawn(async move { sender.closed().await });
                return Ok(deliveries);
            }
        }
        let mut next = self.faults.sends_unreadable_first.then(|| self.unreadable_delivery(queue));
        let counts = Arc::clone(&self.counts);
        tokio::spawn(async move {
            loop {
                let next = match next.take() {
                    Some(unreadable) => Some(unreadable),
                    None => real.recv().await,
                };
                let Some(delivery) = next else { return };
                let delivery = LossRecorder::wrap(delivery, Arc::clone(&counts));
                if sender.send(delivery).await.is_err() {
                    return;
                }
                counts.delivered.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(deliveries)
    }

    async fn queue_depth(&self, queue: &str) -> Result<QueueDepth, Error> {
        self.embedded.queue_depth(queue).await
    }
}
