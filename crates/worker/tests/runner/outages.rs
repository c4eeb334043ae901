//! A store that fails temporarily, with a task queue that redelivers nothing while its
//! consumer lives, as RabbitMQ does.

use crate::{
    fake_task_queue::{FakeTaskQueue, Faults},
    system::{InProcessSystem, SystemOptions, no_hook, wait_until},
};
use contract::{
    api::{CooldownReason, WaitReason},
    state::{JobState, TaskState},
};
use std::{sync::Arc, time::Duration};

/// Time that is longer than the first delay between two attempts.
const LONGER_THAN_FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Prefetch slots of a channel, the same as in the system.
const CONCURRENCY: usize = 8;

async fn new_world(sends_unreadable_first: bool) -> (Arc<FakeTaskQueue>, InProcessSystem) {
    let task_queue = FakeTaskQueue::new(Faults { sends_unreadable_first, ..Faults::default() });
    let options = SystemOptions { task_queue: task_queue.clone(), ..SystemOptions::default() };
    (task_queue, InProcessSystem::new(options).await)
}

/// Launches an upload of `SKU-0`, `SKU-1`, …
async fn upload_numbered_skus(system: &InProcessSystem, count: usize) -> contract::JobId {
    let skus: Vec<_> = (0..count).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    system.upload_skus(&["corner"], &skus).await
}

impl InProcessSystem {
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
    let (task_queue, system) = new_world(false).await;
    system.fail_writes("UPDATE OF state ON tasks WHEN NEW.state = 'running'").await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = upload_numbered_skus(&system, CONCURRENCY + 4).await;
    wait_until("all prefetch slots taken", async || task_queue.delivered_count() >= CONCURRENCY)
        .await;
    tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
    assert_eq!(task_queue.lost_count(), 0, "they are lost for as long as this consumer lives");
    assert_eq!(system.job(job).await.counts.succeeded, 0);

    system.restore_writes().await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    assert_eq!(task_queue.lost_count(), 0);
    for task in system.tasks(job).await {
        assert_eq!(task.attempts.len(), 1, "a claim that failed is no attempt");
        assert_eq!(system.effects("corner", &task.task.sku).len(), 1);
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_deferred_keeps_its_delivery() {
    let (task_queue, system) = new_world(false).await;
    // During the long cooldown each task is deferred, which fails.
    system
        .limiters
        .start_cooldown("corner", Duration::from_secs(60), CooldownReason::TooManyRequests)
        .await;
    system.fail_writes("UPDATE OF run_after ON tasks").await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = upload_numbered_skus(&system, 2).await;
    wait_until("both taken", async || task_queue.delivered_count() >= 2).await;
    tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
    assert_eq!(task_queue.lost_count(), 0);
    system.restore_writes().await;
    wait_until("both deferred", async || {
        let tasks = system.tasks(job).await;
        tasks.iter().all(|task| {
            let waiting = task.task.waiting_for.as_ref();
            waiting.is_some_and(|waiting| waiting.reason == WaitReason::Cooldown)
        })
    })
    .await;
    assert_eq!(task_queue.lost_count(), 0);
}

#[tokio::test]
async fn an_unreadable_message_that_cannot_be_saved_is_not_acknowledged() {
    let (task_queue, system) = new_world(true).await;
    system.fail_writes("INSERT ON rejected_messages").await;
    let _worker = system.spawn_worker("w", &no_hook());
    let consumers = sandbox::SAMPLE_CHANNELS.len();
    wait_until("the messages taken", async || task_queue.delivered_count() >= consumers).await;
    tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
    assert_eq!(task_queue.lost_count(), 0);
    system.restore_writes().await;
    wait_until("the messages", async || {
        system.query("SELECT 1 FROM rejected_messages").await.len() == consumers
    })
    .await;
    assert_eq!(task_queue.lost_count(), 0);
}

#[tokio::test]
async fn a_worker_stopping_during_an_outage_leaves_its_deliveries_unacknowledged() {
    let claims = "UPDATE OF state ON tasks WHEN NEW.state = 'running'";
    let messages = "INSERT ON rejected_messages";
    for (sends_unreadable_first, write, delivery_count) in
        [(false, claims, CONCURRENCY), (true, messages, sandbox::SAMPLE_CHANNELS.len())]
    {
        let (task_queue, system) = new_world(sends_unreadable_first).await;
        system.fail_writes(write).await;
        let worker = system.spawn_worker("w", &no_hook());
        if !sends_unreadable_first {
            upload_numbered_skus(&system, delivery_count).await;
        }
        wait_until("all taken", async || task_queue.delivered_count() >= delivery_count).await;
        tokio::time::sleep(LONGER_THAN_FIRST_BACKOFF).await;
        worker.drain().await;
        assert_eq!(task_queue.lost_count(), delivery_count, "all are left for redelivery");
    }
}

#[tokio::test]
async fn unclaimable_tasks_do_not_block_prefetch_slots() {
    let (task_queue, system) = new_world(false).await;
    let job = upload_numbered_skus(&system, CONCURRENCY + 1).await;
    system.query("UPDATE tasks SET checkpoint = '{' WHERE sku <> 'SKU-8' RETURNING id").await;
    let _worker = system.spawn_worker("w", &no_hook());
    wait_until("the task that can be claimed", async || {
        system.job(job).await.counts.succeeded == 1
    })
    .await;
    assert_eq!(task_queue.lost_count(), 0);
    let tasks = system.tasks(job).await;
    assert!(tasks[..CONCURRENCY].iter().all(|task| task.task.state == TaskState::Queued));
}

#[tokio::test]
async fn items_that_were_not_tried_say_why_the_channel_is_paused_and_what_to_do() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let words = "Corner refused the credentials: no. An admin has to check them in corner.toml.";
    let (hour, reason) = (Duration::from_secs(3_600), CooldownReason::CredentialsRefused);
    system.limiters.start_cooldown_with_message("corner", hour, reason, Some(words)).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = system.upload_skus(&["corner"], &["LAMP"]).await;
    wait_until("the words on the item", async || {
        let tasks = system.tasks(job).await;
        tasks.iter().all(|task| {
            let waiting = task.task.waiting_for.as_ref();
            waiting.is_some_and(|waiting| waiting.detail.as_deref() == Some(words))
        })
    })
    .await;
    assert!(system.tasks(job).await.iter().all(|task| task.attempts.is_empty()));
}
