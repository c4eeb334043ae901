//! Queues whose messages are lost.

use crate::{
    fake_task_queue::{FakeTaskQueue, Faults},
    system::{InProcessSystem, SystemOptions, no_hook, wait_until},
};
use contract::{
    command::{Command, ProductUpload, queue_name},
    state::JobState,
};
use engine::{rabbitmq::RabbitMqServer, task_queue::rabbitmq::RabbitMqTaskQueue};
use std::{sync::Arc, time::Duration};
use testbed::RabbitNode;

/// Number of times that the queue is deleted. RabbitMQ forgets a consumer in about every
/// third round.
const ROUNDS: usize = 6;
const ITEMS: usize = 60;

#[tokio::test]
async fn deleting_a_queue_under_its_consumer_loses_no_task() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let server = RabbitMqServer::new(&node.url()).unwrap();
    let task_queue = Arc::new(RabbitMqTaskQueue::new(server));
    let system =
        InProcessSystem::new(SystemOptions { task_queue, ..SystemOptions::default() }).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let queue = queue_name(ProductUpload::KIND, Some("corner"), ProductUpload::VERSION);
    for round in 0..ROUNDS {
        let skus: Vec<_> = (0..ITEMS).map(|n| format!("SKU-{round}-{n}")).collect();
        let skus: Vec<_> = skus.iter().map(String::as_str).collect();
        let job = system.upload_skus(&["corner"], &skus).await;
        wait_until("some tasks succeeded", async || system.job(job).await.counts.succeeded >= 5)
            .await;
        node.delete_queue(&queue).await.unwrap();
        assert!(system.job(job).await.counts.open > 0, "the queue was deleted too late");
        // This takes less than the two leases after which the reaper finds lost messages.
        assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
        for sku in skus {
            assert_eq!(system.effects("corner", sku).len(), 1, "{sku}");
        }
    }
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

#[tokio::test]
async fn a_consumer_forgotten_by_its_broker_is_restarted() {
    let faults = Faults { silences_first_consumer: true, ..Faults::default() };
    let task_queue = FakeTaskQueue::new(faults);
    // The reaper finds the messages lost after two leases.
    let lease = Duration::from_secs(6);
    let system =
        InProcessSystem::new(SystemOptions { task_queue, lease, ..SystemOptions::default() }).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = system.upload_skus(&["acme"], &["A", "B"]).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
}
