//! A store that fails temporarily, with a broker that redelivers nothing while its
//! consumer lives, as RabbitMQ does.

use crate::world::{World, WorldOptions, no_hook, wait_until};
use async_trait::async_trait;
use contract::{
    api::{CooldownReason, WaitReason},
    envelope::Dispatch,
    state::{JobState, TaskState},
};
use engine::broker::{
    Broker, Deliveries, Delivery, Error, HubEvent, QueueDepth, embedded::EmbeddedBroker,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Broker that keeps deliveries which were dropped without an acknowledgement, and their
/// prefetch slots.
#[derive(Default)]
struct NoRedeliveryBroker {
    embedded: EmbeddedBroker,
    delivered_count: Arc<AtomicUsize>,
    lost_deliveries: Arc<Mutex<Vec<Delivery>>>,
    /// Whether each consumer first receives a message that can't be read.
    sends_unreadable_first: bool,
}

/// Delivery of the embedded broker, whose drop is recorded and hidden from the broker.
struct LossRecorder {
    delivery: Option<Delivery>,
    lost_deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Drop for LossRecorder {
    fn drop(&mut self) {
        self.lost_deliveries.lock().unwrap().extend(self.delivery.take());
    }
}

impl NoRedeliveryBroker {
    fn lost_count(&self) -> usize {
        self.lost_deliveries.lock().unwrap().len()
    }

    fn delivered_count(&self) -> usize {
        self.delivered_count.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Broker for NoRedeliveryBroker {
    async fn declare_queues(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare_queues(queues).await
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Deliveries, Error> {
        let mut real = self.embedded.consume(queue, prefetch).await?;
        let delivered_count = Arc::clone(&self.delivered_count);
        let lost_deliveries = Arc::clone(&self.lost_deliveries);
        let (sender, deliveries) = mpsc::channel(1);
        let error = Dispatch::decode(queue, b"{").unwrap_err();
        let unreadable_delivery =
            Delivery::new(Err((b"{".to_vec(), error)), || Box::pin(std::future::ready(())));
        let mut next = self.sends_unreadable_first.then_some(unreadable_delivery);
        tokio::spawn(async move {
            loop {
                let Some(mut delivery) = (match next.take() {
                    Some(unreadable_delivery) => Some(unreadable_delivery),
                    None => real.recv().await,
                }) else {
                    return;
                };
                let placeholder = Err((Vec::new(), Dispatch::decode("", b"").unwrap_err()));
                let content = std::mem::replace(&mut delivery.content, placeholder);
                let mut loss_recorder = LossRecorder {
                    delivery: Some(delivery),
                    lost_deliveries: Arc::clone(&lost_deliveries),
                };
                let delivery = Delivery::new(content, move || {
                    Box::pin(async move {
                        if let Some(delivery) = loss_recorder.delivery.take() {
                            delivery.ack().await;
                        }
                    })
                });
                if sender.send(delivery).await.is_err() {
                    return;
                }
                delivered_count.fetch_add(1, Ordering::SeqCst);
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

/// Time that is longer than the first delay between two attempts.
const LONGER_THAN_FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Prefetch slots of a channel, the same as in the world.
const CONCURRENCY: usize = 8;

async fn new_world(sends_unreadable_first: bool) -> (Arc<NoRedeliveryBroker>, World) {
    let broker =
        Arc::new(NoRedeliveryBroker { sends_unreadable_first, ..NoRedeliveryBroker::default() });
    (broker.clone(), World::new(WorldOptions { broker, ..WorldOptions::default() }).await)
}

/// Launches an upload of `SKU-0`, `SKU-1`, …
async fn upload_numbered_skus(world: &World, count: usize) -> contract::JobId {
    let skus: Vec<_> = (0..count).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    world.upload_skus(&["corner"], &skus).await
}

impl World {
    /// Makes this kind of write fail from now on.
    async fn fail_writes(&self, write: &str) {
        let fail = "BEGIN SELECT RAISE(ABORT, 'the disk is unavailable'); END";
        self.query(&format!("CREATE TRIGGER fail_writes BEFORE {write} {fail}")).await;
    }

    async fn restore_writes(&self) {
        self.query("DROP TRIGGER fail_writes").await;
    }
}

#[tokio::test]
async fn claims_that_fail_temporarily_lose_no_delivery_and_no_prefetch_slot() {
    let (broker, world) = new_world(false).await;
    world.fail_writes("UPDATE OF state ON tasks WHEN NEW.state = 'running'").await;
    let _worker = world.spawn_worker("w", &no_hook());
    let job = upload_numbered_skus(&world, CONCURRENCY + 4).await;
    wait_until("all prefetch slots taken", async || broker.delivered_count() >= CONCURRENCY).await;
    tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
    assert_eq!(broker.lost_count(), 0, "they are lost for as long as this consumer lives");
    assert_eq!(world.job(job).await.counts.succeeded, 0);

    world.restore_writes().await;
    assert_eq!(world.wait_for_end(job).await.state, JobState::Succeeded);
    assert_eq!(broker.lost_count(), 0);
    for task in world.tasks(job).await {
        assert_eq!(task.attempts.len(), 1, "a claim that failed is no attempt");
        assert_eq!(world.effects("corner", &task.task.sku).len(), 1);
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_deferred_keeps_its_delivery() {
    let (broker, world) = new_world(false).await;
    // During the long cooldown each task is deferred, which fails.
    world
        .limiters
        .start_cooldown("corner", Duration::from_secs(60), CooldownReason::TooManyRequests)
        .await;
    world.fail_writes("UPDATE OF run_after ON tasks").await;
    let _worker = world.spawn_worker("w", &no_hook());
    let job = upload_numbered_skus(&world, 2).await;
    wait_until("both taken", async || broker.delivered_count() >= 2).await;
    tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
    assert_eq!(broker.lost_count(), 0);
    world.restore_writes().await;
    wait_until("both deferred", async || {
        let tasks = world.tasks(job).await;
        tasks.iter().all(|task| {
            let waiting = task.task.waiting_for.as_ref();
            waiting.is_some_and(|waiting| waiting.reason == WaitReason::Cooldown)
        })
    })
    .await;
    assert_eq!(broker.lost_count(), 0);
}

#[tokio::test]
async fn an_unreadable_message_that_cannot_be_saved_is_not_acknowledged() {
    let (broker, world) = new_world(true).await;
    world.fail_writes("INSERT ON rejected_messages").await;
    let _worker = world.spawn_worker("w", &no_hook());
    let consumers = sandbox::SAMPLE_CHANNELS.len();
    wait_until("the messages taken", async || broker.delivered_count() >= consumers).await;
    tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
    assert_eq!(broker.lost_count(), 0);
    world.restore_writes().await;
    wait_until("the messages", async || {
        world.query("SELECT 1 FROM rejected_messages").await.len() == consumers
    })
    .await;
    assert_eq!(broker.lost_count(), 0);
}

#[tokio::test]
async fn a_worker_stopping_during_an_outage_leaves_its_deliveries_unacknowledged() {
    let claims = "UPDATE OF state ON tasks WHEN NEW.state = 'running'";
    let messages = "INSERT ON rejected_messages";
    for (sends_unreadable_first, write, delivery_count) in
        [(false, claims, CONCURRENCY), (true, messages, sandbox::SAMPLE_CHANNELS.len())]
    {
        let (broker, world) = new_world(sends_unreadable_first).await;
        world.fail_writes(write).await;
        let worker = world.spawn_worker("w", &no_hook());
        if !sends_unreadable_first {
            upload_numbered_skus(&world, delivery_count).await;
        }
        wait_until("all taken", async || broker.delivered_count() >= delivery_count).await;
        tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
        worker.drain().await;
        assert_eq!(broker.lost_count(), delivery_count, "all are left for redelivery");
    }
}

#[tokio::test]
async fn unclaimable_tasks_do_not_block_prefetch_slots() {
    let (broker, world) = new_world(false).await;
    let job = upload_numbered_skus(&world, CONCURRENCY + 1).await;
    world.query("UPDATE tasks SET checkpoint = '{' WHERE sku <> 'SKU-8' RETURNING id").await;
    let _worker = world.spawn_worker("w", &no_hook());
    wait_until("the task that can be claimed", async || world.job(job).await.counts.succeeded == 1)
        .await;
    assert_eq!(broker.lost_count(), 0);
    let tasks = world.tasks(job).await;
    assert!(tasks[..CONCURRENCY].iter().all(|task| task.task.state == TaskState::Queued));
}
