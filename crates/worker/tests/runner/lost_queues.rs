//! Queues whose messages are lost.

use crate::world::{World, WorldOptions, no_hook, wait_until};
use async_trait::async_trait;
use contract::{
    command::{Command, ProductUpload, queue_name},
    envelope::Dispatch,
    state::JobState,
};
use engine::{
    broker::{
        Broker, Deliveries, Error, HubEvent, QueueDepth, embedded::EmbeddedBroker,
        rabbitmq::RabbitMqBroker,
    },
    testing::RabbitNode,
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Number of times that the queue is deleted. RabbitMQ forgets a consumer in about every
/// third round.
const ROUNDS: usize = 6;
const ITEMS: usize = 60;

#[tokio::test]
async fn deleting_a_queue_under_its_consumer_loses_no_task() {
    let node = Arc::new(tokio::task::spawn_blocking(RabbitNode::start).await.unwrap());
    let broker = Arc::new(RabbitMqBroker::new(&node.url()).unwrap());
    let world = World::new(WorldOptions { broker, ..WorldOptions::default() }).await;
    let _worker = world.spawn_worker("w", &no_hook());
    let queue = queue_name(ProductUpload::KIND, Some("corner"), ProductUpload::VERSION);
    for round in 0..ROUNDS {
        let skus: Vec<_> = (0..ITEMS).map(|n| format!("SKU-{round}-{n}")).collect();
        let skus: Vec<_> = skus.iter().map(String::as_str).collect();
        let job = world.upload_skus(&["corner"], &skus).await;
        wait_until("some tasks succeeded", async || world.job(job).await.counts.succeeded >= 5)
            .await;
        let (node, name) = (Arc::clone(&node), queue.clone());
        let delete = move || assert!(node.rabbitmqctl(&["delete_queue", &name]));
        tokio::task::spawn_blocking(delete).await.unwrap();
        assert!(world.job(job).await.counts.open > 0, "the queue was deleted too late");
        // This takes less than the two leases after which the reaper finds lost messages.
        assert_eq!(world.wait_for_end(job).await.state, JobState::Succeeded);
        for sku in skus {
            assert_eq!(world.effects("corner", sku).len(), 1, "{sku}");
        }
    }
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

/// Broker whose first stream of each queue delivers nothing and does not end; its
/// messages count as delivered.
#[derive(Default)]
struct SilentFirstConsumerBroker {
    embedded: EmbeddedBroker,
    consumed_queues: Mutex<HashSet<String>>,
    silenced_deliveries: Mutex<Vec<Deliveries>>,
}

#[async_trait]
impl Broker for SilentFirstConsumerBroker {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare_queues(queues).await
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error> {
        let real = self.embedded.consume(queue, prefetch).await?;
        if !self.consumed_queues.lock().unwrap().insert(queue.into()) {
            return Ok(real);
        }
        self.silenced_deliveries.lock().unwrap().push(real);
        let (sender, silent) = mpsc::channel(1);
        tokio::spawn(async move { sender.closed().await });
        Ok(silent)
    }

    async fn queue_depth(&self, queue: &str) -> Result<QueueDepth, Error> {
        self.embedded.queue_depth(queue).await
    }

    fn broadcast(&self, event: HubEvent) {
        self.embedded.broadcast(event);
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>> {
        self.embedded.subscribe()
    }

    async fn run(&self, stop: CancellationToken) {
        self.embedded.run(stop).await;
    }
}

#[tokio::test]
async fn a_consumer_forgotten_by_its_broker_is_restarted() {
    let broker = Arc::new(SilentFirstConsumerBroker::default());
    let world = World::new(WorldOptions {
        broker,
        lease: Duration::from_secs(2),
        ..WorldOptions::default()
    })
    .await;
    let _worker = world.spawn_worker("w", &no_hook());
    let job = world.upload_skus(&["acme"], &["A", "B"]).await;
    assert_eq!(world.wait_for_end(job).await.state, JobState::Succeeded);
}
