//! Tests that every [`Broker`] has to pass; each adapter's tests call [`run`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use super::{Broker, Deliveries, Delivery, QueueDepth};
use contract::{JobId, TaskId, UserId, envelope::Dispatch};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

fn dispatch(queue: &str, fence: i64) -> Dispatch {
    Dispatch {
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
    tokio::time::timeout(Duration::from_secs(10), deliveries.recv())
        .await
        .expect("no delivery within 10 s")
        .expect("the consumer was cancelled")
}

fn fence_of(delivery: &Delivery) -> i64 {
    delivery.content.as_ref().unwrap_or_else(|(_, why)| panic!("not a command: {why}")).fence
}

/// Runs the whole suite on a broker whose queues are empty.
pub async fn run(broker: &dyn Broker) {
    let queue = format!("meanwhile.q.suite.{}.v1", Uuid::now_v7().simple());
    broker.declare_queues(std::slice::from_ref(&queue)).await.unwrap();
    let sent: Vec<_> = (1..=3).map(|fence| dispatch(&queue, fence)).collect();
    for confirmed in broker.publish(&sent).await {
        confirmed.unwrap();
    }

    // Messages come unchanged and in order, at most two unacknowledged.
    let mut deliveries = broker.consume(&queue, 2).await.unwrap();
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
    let mut deliveries = broker.consume(&queue, 2).await.unwrap();
    let redelivered = next_delivery(&mut deliveries).await;
    assert_eq!(fence_of(&redelivered), 2);
    redelivered.ack().await;
    let none = tokio::time::timeout(Duration::from_millis(200), deliveries.recv()).await;
    assert!(none.is_err(), "an acknowledged message was redelivered");
    let depth = broker.queue_depth(&queue).await.unwrap();
    assert_eq!(depth, QueueDepth { ready: 0, consumers: 1 });
}
