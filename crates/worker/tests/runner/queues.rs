//! Queues of a real RabbitMQ that somebody deletes.

use crate::world::{Setup, World, nothing, until};
use contract::{
    command::{Command, ProductUpload, queue_name},
    state::JobState,
};
use engine::{broker::rabbit::Rabbit, testing::RabbitNode};
use std::sync::Arc;

const ITEMS: usize = 60;

#[tokio::test]
async fn a_queue_that_is_deleted_under_its_worker_costs_no_item_and_little_time() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let broker = Arc::new(Rabbit::new(&node.url()).unwrap());
    let world = World::new(Setup { broker, ..Setup::default() }).await;
    let _worker = world.work("w", &nothing());
    let skus: Vec<_> = (0..ITEMS).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = world.upload(&["corner"], &skus).await;
    until("some are done", async || world.job(job).await.counts.succeeded >= 5).await;
    let queue = queue_name(ProductUpload::KIND, Some("corner"), ProductUpload::VERSION);
    assert!(node.control(&["delete_queue", &queue]));
    assert!(world.job(job).await.counts.open > 0, "the queue was deleted too late");
    // Less than the two leases after which the reaper finds what is lost.
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    for sku in skus {
        assert_eq!(world.effects("corner", sku).len(), 1, "{sku}");
    }
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}
