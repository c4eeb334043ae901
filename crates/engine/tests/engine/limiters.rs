//! Limiters with a store that persists cooldowns.

use contract::api::CooldownReason;
use engine::{
    clock::ManualClock,
    limiter::{AcquireError, Limiters, UpstreamLimits, embedded::EmbeddedLimiter},
    store::Store,
};
use sea_orm::{ConnectionTrait, Database};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_failed_cooldown_restore_is_retried_by_the_next_acquire() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
    store
        .coordination
        .record_cooldown("acme", 60_000, CooldownReason::TooManyRequests, None)
        .await
        .unwrap();
    let raw = Database::connect(&url).await.unwrap();
    let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), Some(store));
    limiters.add_upstream("acme", UpstreamLimits { rate: 2.0, concurrency: 4 });
    raw.execute_unprepared("ALTER TABLE upstream_cooldowns RENAME TO away").await.unwrap();
    assert!(matches!(limiters.acquire("acme").await, Err(AcquireError::Limiter(_))));
    raw.execute_unprepared("ALTER TABLE away RENAME TO upstream_cooldowns").await.unwrap();
    let later = limiters.acquire("acme").await.err();
    let long = |wait: &Duration| *wait > Duration::from_secs(50);
    assert!(
        matches!(&later, Some(AcquireError::RetryAfter { wait, in_cooldown: true }) if long(wait)),
        "{later:?}"
    );
}
