//! Tests that every [`TaskQueue`] has to pass; each adapter's tests call [`run`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use super::{Deliveries, Delivery, QueueDepth, TaskQueue};
use contract::{JobId, TaskId, UserId, envelope::CommandMessage};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

fn message(queue: &str, fence: i64) -> CommandMessage {
    CommandMessage {
        task: TaskId(Uuid::now_v7()),
        job: JobId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        fence,
        kind: "product.upload".into(),
        version: 1,
        queue: queue.into(),
        traceparent: None,
        body: json!({ "fence": fence }),
    }
}

async fn next_delivery(deliveries: &mut Deliveries) -> Delivery {
    tokio::time::timeout(Duration::from_secs(60), deliveries.recv())
        .await
        .expect("no delivery within 60 s")
        .expect("the consumer was cancelled")
}

fn fence_of(delivery: &Delivery) -> i64 {
    delivery.content.as_ref().unwrap_or_else(|(_, why)| panic!("not a command: {why}")).fence
}

/// Runs the whole suite, in a queue of its own.
pub async fn run(task_queue: &dyn TaskQueue) {
    let queue = format!("meanwhile.q.suite.{}.v1", Uuid::now_v7().simple());
    task_queue.declare_queues(std::slice::from_ref(&queue)).await.unwrap();
    let sent: Vec<_> = (1..=3).map(|fence| message(&queue, fence)).collect();
    for confirmed in task_queue.publish(&sent).await {
        confirmed.unwrap();
    }

    // Messages come unchanged and in order, at most two unacknowledged.
    let mut deliveries = task_queue.consume(&queue, 2).await.unwrap();
    let first = next_delivery(&mut deliveries).await;
    let second = next_delivery(&mut deliveries).await;
    assert_eq!(first.content.as_ref().ok(), Some(&sent[0]));
    assert_eq!(fence_of(&second), 2);
    let third = tokio::time::timeout(Duration::from_millis(200), deliveries.recv()).await;
    assert!(third.is_err(), "a third delivery came although two are unacknowledged");
    first.ack().await;
    let third = next_delivery(&mut deliveries).await;
    assert_eq!(fence_of(&third), 3);
    third.ack().await;

    // The next consumer receives the unacknowledged message.
    drop(second);
    drop(deliveries);
    let mut deliveries = task_queue.consume(&queue, 2).await.unwrap();
    let redelivered = next_delivery(&mut deliveries).await;
    assert_eq!(fence_of(&redelivered), 2);
    redelivered.ack().await;
    let none = tokio::time::timeout(Duration::from_millis(200), deliveries.recv()).await;
    assert!(none.is_err(), "an acknowledged message was redelivered");
    let depth = task_queue.queue_depth(&queue).await.unwrap();
    assert_eq!(depth, QueueDepth { ready: 0, consumers: 1 });
}
