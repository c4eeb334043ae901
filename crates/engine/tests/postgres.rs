//! The store's life of a task on PostgreSQL, until the suite runs on both.
#![allow(clippy::unwrap_used)]
use engine::{clock::Followed, store::Store, testing::PostgresNode};
use std::sync::Arc;
#[tokio::test]
async fn opens() {
    let node = PostgresNode::start();
    let url = node.url();
    let (a, b) = tokio::join!(
        Store::open(&url, Arc::new(Followed::default()), 1.0),
        Store::open(&url, Arc::new(Followed::default()), 1.0)
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.epoch(), b.epoch());
    assert!(a.take_seat("x", "a", 1000).await.unwrap());
    assert!(!b.take_seat("x", "b", 1000).await.unwrap());
    a.leave_seat("x", "a").await.unwrap();
    assert!(b.take_seat("x", "b", 1000).await.unwrap());
}
