//! Queues in the memory of this process. Messages are lost with it, and published again
//! from the task table at the next start.

use super::{Deliveries, Delivery, Error, QueueDepth, TaskQueue};
use async_trait::async_trait;
use contract::envelope::CommandMessage;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore, mpsc};

#[derive(Default)]
struct InMemoryQueue {
    ready: Mutex<VecDeque<CommandMessage>>,
    message_added: Notify,
    consumers: AtomicU64,
}

impl InMemoryQueue {
    fn push(&self, message: CommandMessage, at_front: bool) {
        let mut ready = self.ready.lock();
        if at_front {
            ready.push_front(message);
        } else {
            ready.push_back(message);
        }
        self.message_added.notify_one();
    }

    async fn pop(&self) -> CommandMessage {
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
    message: Option<CommandMessage>,
}

impl UnackedMessage {
    fn acknowledge(mut self) {
        self.message = None;
    }
}

impl Drop for UnackedMessage {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.queue.push(message, true);
        }
    }
}

/// The command queues of a single process.
#[derive(Default)]
pub struct EmbeddedTaskQueue {
    queues: Mutex<HashMap<String, Arc<InMemoryQueue>>>,
}

impl EmbeddedTaskQueue {
    fn get_or_create_queue(&self, name: &str) -> Arc<InMemoryQueue> {
        let mut queues = self.queues.lock();
        Arc::clone(queues.entry(name.to_owned()).or_default())
    }
}

#[async_trait]
impl TaskQueue for EmbeddedTaskQueue {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        for queue in queues {
            self.get_or_create_queue(queue);
        }
        // Queues are never deleted, and a process that starts with new ones knows it.
        Ok(Vec::new())
    }

    async fn publish(&self, batch: &[CommandMessage]) -> Vec<Result<(), Error>> {
        batch
            .iter()
            .map(|message| {
                self.get_or_create_queue(&message.queue).push(message.clone(), false);
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
                let message = tokio::select! {
                    message = queue.pop() => message,
                    () = sender.closed() => return,
                };
                let unacked =
                    UnackedMessage { queue: Arc::clone(&queue), message: Some(message.clone()) };
                let delivery = Delivery::new(Ok(message), move || async move {
                    unacked.acknowledge();
                    drop(prefetch_permit);
                });
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passes_the_port_suite() {
        super::super::suite::run(&EmbeddedTaskQueue::default()).await;
    }
}
