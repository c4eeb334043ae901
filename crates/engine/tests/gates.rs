//! What gates and the store do together.
#![allow(clippy::unwrap_used)]

use engine::{
    clock::Steered,
    gate::{Gates, Limits, Refused, embedded::Embedded},
    store::Store,
};
use sea_orm::{ConnectionTrait, Database};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_gate_that_could_not_be_reminded_is_reminded_by_whoever_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap();
    store.close_account("acme", 60_000, "http_429").await.unwrap();
    let raw = Database::connect(&url).await.unwrap();
    let gates = Gates::new(Arc::new(Embedded::default()), Some(store));
    gates.add("acme", Limits { rate: 2.0, concurrency: 4 });
    raw.execute_unprepared("ALTER TABLE closed_accounts RENAME TO away").await.unwrap();
    assert!(matches!(gates.enter("acme").await, Err(Refused::Unreachable(_))));
    raw.execute_unprepared("ALTER TABLE away RENAME TO closed_accounts").await.unwrap();
    let later = gates.enter("acme").await.err();
    let long = |wait: &Duration| *wait > Duration::from_secs(50);
    assert!(
        matches!(&later, Some(Refused::Later { wait, closed: true }) if long(wait)),
        "{later:?}"
    );
}
