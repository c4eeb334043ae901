//! Messages and commands that can't be read.

use crate::world::{World, WorldOptions, attempt_codes, no_hook, wait_until};
use async_trait::async_trait;
use contract::{
    envelope::Dispatch,
    state::{JobState, TaskState},
};
use engine::broker::{
    Broker, Deliveries, Delivery, Error, HubEvent, QueueDepth, embedded::EmbeddedBroker,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

const GARBAGE: &[u8] = b"{\"specversion\":\"1.0\",\0";

/// Broker that first sends each consumer a message that can't be read.
#[derive(Default)]
struct UnreadableFirstBroker {
    embedded: EmbeddedBroker,
    acknowledged: Arc<AtomicUsize>,
}

#[async_trait]
impl Broker for UnreadableFirstBroker {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare_queues(queues).await
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error> {
        let mut real = self.embedded.consume(queue, prefetch).await?;
        let error = Dispatch::decode(queue, GARBAGE).unwrap_err();
        let acknowledged = Arc::clone(&self.acknowledged);
        let unreadable_delivery = Delivery::new(Err((GARBAGE.to_vec(), error)), move || {
            Box::pin(async move {
                acknowledged.fetch_add(1, Ordering::SeqCst);
            })
        });
        let (sender, deliveries) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut next = Some(unreadable_delivery);
            while let Some(delivery) = next {
                if sender.send(delivery).await.is_err() {
                    return;
                }
                next = real.recv().await;
            }
        });
        Ok(deliveries)
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
async fn an_unreadable_message_is_saved_and_other_tasks_finish() {
    let broker = Arc::new(UnreadableFirstBroker::default());
    let world =
        World::new(WorldOptions { broker: broker.clone(), ..WorldOptions::default() }).await;
    let _worker = world.spawn_worker("w", &no_hook());
    let job = world.upload_skus(&["acme"], &["A", "B"]).await;
    assert_eq!(world.wait_for_end(job).await.state, JobState::Succeeded);
    let consumers = sandbox::SAMPLE_CHANNELS.len();
    let acknowledged = || broker.acknowledged.load(Ordering::SeqCst);
    wait_until("the acknowledgements", async || acknowledged() == consumers).await;
    let rejected_rows =
        world.query("SELECT queue, bytes, reason FROM rejected_messages ORDER BY queue").await;
    assert_eq!(rejected_rows.len(), consumers);
    let text = |column| rejected_rows[0].try_get::<String>("", column).unwrap();
    assert_eq!(text("queue"), "meanwhile.q.product.upload.acme.v1");
    assert!(text("bytes").starts_with("{\"specversion\""), "{}", text("bytes"));
    assert!(text("reason").starts_with("not JSON"), "{}", text("reason"));
}

#[tokio::test]
async fn an_unreadable_command_fails_visibly_and_can_be_retried() {
    let world = World::new(WorldOptions::default()).await;
    let job = world.upload_skus(&["acme"], &["A", "B"]).await;
    let rows = world.query("SELECT body FROM tasks WHERE sku = 'A'").await;
    let body: String = rows[0].try_get("", "body").unwrap();
    world.query("UPDATE tasks SET body = '{\"channel\": 7}' WHERE sku = 'A'").await;
    let _worker = world.spawn_worker("w", &no_hook());
    let retry = async || {
        world
            .engine
            .retry_tasks(world.user, job, &contract::api::RetryRequest::default())
            .await
            .unwrap();
        world.wait_for_end(job).await
    };
    assert_eq!(world.wait_for_end(job).await.state, JobState::PartlyFailed);
    let tasks = world.tasks(job).await;
    assert_eq!(
        (tasks[0].task.state, attempt_codes(&tasks[0])),
        (TaskState::Failed, vec!["unreadable_command"])
    );
    assert_eq!(attempt_codes(&tasks[1]), ["created"]);

    assert_eq!(retry().await.state, JobState::PartlyFailed, "it still can't be read");
    let body = body.replace('\'', "''");
    world.query(&format!("UPDATE tasks SET body = '{body}' WHERE sku = 'A'")).await;
    assert_eq!(retry().await.state, JobState::Succeeded);
    let tasks = world.tasks(job).await;
    assert_eq!(attempt_codes(&tasks[0]), ["unreadable_command", "unreadable_command", "created"]);
    assert_eq!(world.effects("acme", "A").len(), 1);
}
