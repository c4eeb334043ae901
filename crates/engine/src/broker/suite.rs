//! What every broker keeps; each adapter's tests call [`run`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use super::{Broker, Deliveries, Delivery, Depth};
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

async fn next(deliveries: &mut Deliveries) -> Delivery {
    tokio::time::timeout(Duration::from_secs(10), deliveries.recv())
        .await
        .expect("no delivery within 10 s")
        .expect("the consumer was cancelled")
}

fn fence(delivery: &Delivery) -> i64 {
    delivery.content.as_ref().unwrap_or_else(|(_, why)| panic!("not a command: {why}")).fence
}

/// Runs the whole suite on a broker whose queues are empty.
pub async fn run(broker: &dyn Broker) {
    let queue = format!("meanwhile.q.suite.{}.v1", Uuid::now_v7().simple());
    broker.declare(std::slice::from_ref(&queue)).await.unwrap();
    let sent: Vec<_> = (1..=3).map(|fence| dispatch(&queue, fence)).collect();
    for confirmed in broker.publish(&sent).await {
        confirmed.unwrap();
    }

    // At most two unacknowledged, in order, as they were sent.
    let mut deliveries = broker.consume(&queue, 2).await.unwrap();
    let first = next(&mut deliveries).await;
    let second = next(&mut deliveries).await;
    assert_eq!(first.content.as_ref().ok(), Some(&sent[0]));
    assert_eq!(fence(&second), 2);
    let third = tokio::time::timeout(Duration::from_millis(200), deliveries.recv()).await;
    assert!(third.is_err(), "a third delivery came though two are unacknowledged");
    first.ack().await;
    let third = next(&mut deliveries).await;
    assert_eq!(fence(&third), 3);
    third.ack().await;

    // What was not acknowledged comes again to whoever consumes next.
    drop(second);
    drop(deliveries);
    let mut deliveries = broker.consume(&queue, 2).await.unwrap();
    let again = next(&mut deliveries).await;
    assert_eq!(fence(&again), 2);
    again.ack().await;
    let none = tokio::time::timeout(Duration::from_millis(200), deliveries.recv()).await;
    assert!(none.is_err(), "an acknowledged delivery came again");
    let depth = broker.depth(&queue).await.unwrap();
    assert_eq!(depth, Depth { ready: 0, consumers: 1 });
}
