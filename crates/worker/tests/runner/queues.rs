//! Queues whose messages are lost.

use crate::world::{Setup, World, nothing, until};
use async_trait::async_trait;
use contract::{
    command::{Command, ProductUpload, queue_name},
    envelope::Dispatch,
    state::JobState,
};
use engine::{
    broker::{Broker, Deliveries, Depth, Error, News, embedded::Embedded, rabbit::Rabbit},
    testing::RabbitNode,
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Each deletes the queue once; RabbitMQ forgets a consumer in about every third.
const ROUNDS: usize = 6;
const ITEMS: usize = 60;

#[tokio::test]
async fn a_queue_that_is_deleted_under_its_worker_costs_no_item_and_little_time() {
    let node = Arc::new(tokio::task::spawn_blocking(RabbitNode::start).await.unwrap());
    let broker = Arc::new(Rabbit::new(&node.url()).unwrap());
    let world = World::new(Setup { broker, ..Setup::default() }).await;
    let _worker = world.work("w", &nothing());
    let queue = queue_name(ProductUpload::KIND, Some("corner"), ProductUpload::VERSION);
    for round in 0..ROUNDS {
        let skus: Vec<_> = (0..ITEMS).map(|n| format!("SKU-{round}-{n}")).collect();
        let skus: Vec<_> = skus.iter().map(String::as_str).collect();
        let job = world.upload(&["corner"], &skus).await;
        until("some are done", async || world.job(job).await.counts.succeeded >= 5).await;
        let (node, name) = (Arc::clone(&node), queue.clone());
        let delete = move || assert!(node.control(&["delete_queue", &name]));
        tokio::task::spawn_blocking(delete).await.unwrap();
        assert!(world.job(job).await.counts.open > 0, "the queue was deleted too late");
        // Less than the two leases after which the reaper finds what is lost.
        assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
        for sku in skus {
            assert_eq!(world.effects("corner", sku).len(), 1, "{sku}");
        }
    }
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

/// The first stream of each queue brings nothing and does not end; its messages
/// count as delivered.
#[derive(Default)]
struct Forgetful {
    embedded: Embedded,
    asked: Mutex<HashSet<String>>,
    kept: Mutex<Vec<Deliveries>>,
}

#[async_trait]
impl Broker for Forgetful {
    async fn declare(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare(queues).await
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, slots: u16) -> Result<Deliveries, Error> {
        let real = self.embedded.consume(queue, slots).await?;
        if !self.asked.lock().unwrap().insert(queue.into()) {
            return Ok(real);
        }
        self.kept.lock().unwrap().push(real);
        let (sender, silent) = mpsc::channel(1);
        tokio::spawn(async move { sender.closed().await });
        Ok(silent)
    }

    async fn depth(&self, queue: &str) -> Result<Depth, Error> {
        self.embedded.depth(queue).await
    }

    fn announce(&self, news: News) {
        self.embedded.announce(news);
    }

    fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.embedded.news()
    }

    async fn run(&self, stop: CancellationToken) {
        self.embedded.run(stop).await;
    }
}

#[tokio::test]
async fn a_consumer_that_its_broker_forgot_is_started_again() {
    let broker = Arc::new(Forgetful::default());
    let world = World::new(Setup { broker, lease_ms: 2_000, ..Setup::default() }).await;
    let _worker = world.work("w", &nothing());
    let job = world.upload(&["acme"], &["A", "B"]).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
}
