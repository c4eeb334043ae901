//! Queues in this process. What they hold is lost with it, and published
//! again from the task table at the next start.

use super::{Broker, Deliveries, Delivery, Depth, Error, News};
use async_trait::async_trait;
use contract::envelope::Dispatch;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// News that a slow hub may be behind before it has to resync.
const NEWS: usize = 4_096;

#[derive(Default)]
struct Queue {
    ready: Mutex<VecDeque<Dispatch>>,
    filled: Notify,
    consumers: AtomicU64,
}

impl Queue {
    fn push(&self, dispatch: Dispatch, in_front: bool) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if in_front {
            ready.push_front(dispatch);
        } else {
            ready.push_back(dispatch);
        }
        self.filled.notify_one();
    }

    async fn pop(&self) -> Dispatch {
        loop {
            let filled = self.filled.notified();
            if let Some(next) =
                self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
            {
                return next;
            }
            filled.await;
        }
    }
}

/// Counts a consumer until it ends.
struct Consumer(Arc<Queue>);

impl Consumer {
    fn new(queue: Arc<Queue>) -> Self {
        queue.consumers.fetch_add(1, Ordering::SeqCst);
        Self(queue)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.0.consumers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Puts a message back that was dropped without an acknowledgement.
struct Held {
    queue: Arc<Queue>,
    dispatch: Option<Dispatch>,
}

impl Held {
    fn settle(mut self) {
        self.dispatch = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(dispatch) = self.dispatch.take() {
            self.queue.push(dispatch, true);
        }
    }
}

/// The broker of a single process.
pub struct Embedded {
    queues: Mutex<HashMap<String, Arc<Queue>>>,
    news: broadcast::Sender<Arc<News>>,
}

impl Default for Embedded {
    fn default() -> Self {
        Self { queues: Mutex::default(), news: broadcast::channel(NEWS).0 }
    }
}

impl Embedded {
    fn queue(&self, name: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(name.to_owned()).or_default())
    }
}

#[async_trait]
impl Broker for Embedded {
    async fn declare(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        for queue in queues {
            self.queue(queue);
        }
        // Nobody deletes one. Whoever starts with new ones knows it.
        Ok(Vec::new())
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        batch
            .iter()
            .map(|dispatch| {
                self.queue(&dispatch.queue).push(dispatch.clone(), false);
                Ok(())
            })
            .collect()
    }

    async fn consume(&self, queue: &str, slots: u16) -> Result<Deliveries, Error> {
        let queue = self.queue(queue);
        let (sender, deliveries) = mpsc::channel(1);
        let slots = Arc::new(Semaphore::new(slots.into()));
        let consumer = Consumer::new(Arc::clone(&queue));
        tokio::spawn(async move {
            let _consumer = consumer;
            loop {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let dispatch = tokio::select! {
                    dispatch = queue.pop() => dispatch,
                    () = sender.closed() => return,
                };
                let held = Held { queue: Arc::clone(&queue), dispatch: Some(dispatch.clone()) };
                let delivery = Delivery {
                    content: Ok(dispatch),
                    acknowledge: Some(Box::new(move || {
                        Box::pin(async move {
                            held.settle();
                            drop(slot);
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

    async fn depth(&self, queue: &str) -> Result<Depth, Error> {
        let queue = self.queue(queue);
        let ready = queue.ready.lock().unwrap_or_else(PoisonError::into_inner).len();
        Ok(Depth {
            ready: u64::try_from(ready).unwrap_or(u64::MAX),
            consumers: queue.consumers.load(Ordering::SeqCst),
        })
    }

    fn announce(&self, news: News) {
        crate::measure::announced(&news);
        // An error says that no hub listens.
        let _ = self.news.send(Arc::new(news));
    }

    fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    async fn run(&self, _stop: CancellationToken) {
        // There is no other node.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_suite() {
        super::super::suite::run(&Embedded::default()).await;
    }
}
