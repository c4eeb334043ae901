//! Starts of machines, and of the store.
#![allow(clippy::unwrap_used)]

use contract::UserId;
use engine::{
    broker::embedded::Embedded as Broker,
    clock::Steered,
    engine::{Engine, LaunchError},
    gate::{Gates, embedded::Embedded as Gate},
    relay::Bell,
    store::{MAX_OPEN, MaxOpen, Store},
};
use std::sync::Arc;

async fn start(engine: &Engine, user: UserId, count: usize) -> Result<usize, LaunchError> {
    // Each twice: that is the same machine.
    let ids: Vec<_> = (0..count * 2).map(|n| format!("i-{}", n % count)).collect();
    let job = engine.start(user, &ids, None).await?;
    Ok(job.counts.total as usize)
}

#[tokio::test]
async fn machines_count_once_and_more_than_may_be_open_are_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let max = MaxOpen { tasks: 3, ..MAX_OPEN };
    let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap().with_max_open(max);
    let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let gates = Gates::new(Arc::new(Gate::default()), None);
    let broker = Arc::new(Broker::default());
    let engine = Engine::new(store, broker, Bell::default(), gates, Vec::new());
    assert_eq!(start(&engine, user, 3).await.unwrap(), 3);
    let refused = start(&engine, user, 4).await;
    assert!(
        matches!(&refused, Err(LaunchError::Invalid(words)) if words.contains("at most 3 machines")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_not_repeated() {
    for url in [
        "postgres://ada:hunter2@127.0.0.1:notaport/x",
        "postgresx://ada:hunter2@127.0.0.1/x",
        "ada:hunter2@127.0.0.1/x",
    ] {
        let Err(error) = Store::open(url, Steered::at(0), 1.0).await else { panic!("{url}") };
        let words = format!("{error} {error:?}");
        assert!(!words.contains("hunter2") && words.contains("can't be read"), "{words}");
    }
}
