//! Launching machines, and opening a store.

use contract::UserId;
use engine::{
    clock::ManualClock,
    engine::{Engine, LaunchError},
    event_bus::embedded::EmbeddedEventBus,
    limiter::{Limiters, embedded::EmbeddedLimiter},
    relay::RelayWaker,
    store::{DEFAULT_OPEN_LIMITS, OpenLimits, Store},
};
use std::sync::Arc;

async fn start_machines(engine: &Engine, user: UserId, count: usize) -> Result<usize, LaunchError> {
    // Each id twice, which is the same machine.
    let ids: Vec<_> = (0..count * 2).map(|n| format!("i-{:017x}", n % count)).collect();
    let job = engine.start_machines(user, &ids, None, None).await?;
    Ok(job.counts.total as usize)
}

#[tokio::test]
async fn duplicate_machines_count_once_and_launches_over_the_limit_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let max = OpenLimits { tasks: 3, ..DEFAULT_OPEN_LIMITS };
    let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap().with_open_limits(max);
    let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
    let event_bus = Arc::new(EmbeddedEventBus::default());
    let engine = Engine::new(store, event_bus, RelayWaker::default(), limiters, Vec::new());
    assert_eq!(start_machines(&engine, user, 3).await.unwrap(), 3);
    let result = start_machines(&engine, user, 4).await;
    assert!(
        matches!(&result, Err(LaunchError::Invalid(message)) if message.contains("at most 3 machines")),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_not_repeated() {
    for url in [
        "postgres://ada:hunter2@127.0.0.1:notaport/x",
        "postgresx://ada:hunter2@127.0.0.1/x",
        "ada:hunter2@127.0.0.1/x",
    ] {
        let Err(error) = Store::open(url, ManualClock::at(0), 1.0).await else { panic!("{url}") };
        let message = format!("{error} {error:?}");
        assert!(!message.contains("hunter2") && message.contains("can't be read"), "{message}");
    }
}
