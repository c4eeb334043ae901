//! The broker's suite on a real RabbitMQ, and what only it can do wrong.
#![allow(clippy::unwrap_used)]

use engine::{
    broker::{Broker, rabbit::Rabbit, suite},
    testing::RabbitNode,
};

#[tokio::test]
async fn keeps_the_suite_and_comes_back_after_its_connections_broke() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let broker = Rabbit::new(node.url());
    suite::run(&broker).await;

    let node = tokio::task::spawn_blocking(move || {
        assert!(node.control(&["close_all_connections", "a test"]));
        node
    })
    .await
    .unwrap();
    // Each use may find that its connection is gone, once.
    let _ = broker.ready("meanwhile.q.none.v1").await;
    let _ = broker.publish(&[]).await;
    suite::run(&broker).await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}
