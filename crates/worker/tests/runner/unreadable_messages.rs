//! Messages and commands that can't be read.

use crate::{
    fake_task_queue::{FakeTaskQueue, Faults},
    system::{InProcessSystem, SystemOptions, attempt_codes, no_hook, wait_until},
};
use contract::state::{JobState, TaskState};

#[tokio::test]
async fn an_unreadable_message_is_saved_and_other_tasks_finish() {
    let task_queue =
        FakeTaskQueue::new(Faults { sends_unreadable_first: true, ..Faults::default() });
    let options = SystemOptions { task_queue: task_queue.clone(), ..SystemOptions::default() };
    let system = InProcessSystem::new(options).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = system.upload_skus(&["acme"], &["A", "B"]).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    let consumers = sandbox::SAMPLE_CHANNELS.len();
    wait_until("the acknowledgements", async || {
        task_queue.unreadable_acknowledged_count() == consumers
    })
    .await;
    let rejected_rows =
        system.query("SELECT queue, bytes, reason FROM rejected_messages ORDER BY queue").await;
    assert_eq!(rejected_rows.len(), consumers);
    let text = |column| rejected_rows[0].try_get::<String>("", column).unwrap();
    assert_eq!(text("queue"), "meanwhile.q.product.upload.acme.v1");
    assert!(text("bytes").starts_with("{\"specversion\""), "{}", text("bytes"));
    assert!(text("reason").starts_with("the JSON can't be read"), "{}", text("reason"));
}

#[tokio::test]
async fn an_unreadable_command_fails_visibly_and_can_be_retried() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let job = system.upload_skus(&["acme"], &["A", "B"]).await;
    let rows = system.query("SELECT body FROM tasks WHERE sku = 'A'").await;
    let body: String = rows[0].try_get("", "body").unwrap();
    system.query("UPDATE tasks SET body = '{\"channel\": 7}' WHERE sku = 'A'").await;
    let _worker = system.spawn_worker("w", &no_hook());
    let retry = async || {
        system
            .engine
            .retry_tasks(system.user, job, &contract::api::RetryRequest::default())
            .await
            .unwrap();
        system.wait_for_end(job).await
    };
    assert_eq!(system.wait_for_end(job).await.state, JobState::PartlyFailed);
    let tasks = system.tasks(job).await;
    assert_eq!(
        (tasks[0].task.state, attempt_codes(&tasks[0])),
        (TaskState::Failed, vec!["unreadable_command"])
    );
    assert_eq!(attempt_codes(&tasks[1]), ["created"]);

    assert_eq!(retry().await.state, JobState::PartlyFailed, "it still can't be read");
    let body = body.replace('\'', "''");
    system.query(&format!("UPDATE tasks SET body = '{body}' WHERE sku = 'A'")).await;
    assert_eq!(retry().await.state, JobState::Succeeded);
    let tasks = system.tasks(job).await;
    assert_eq!(attempt_codes(&tasks[0]), ["unreadable_command", "unreadable_command", "created"]);
    assert_eq!(system.effects("acme", "A").len(), 1);
}
