//! Limiters with a store that persists cooldowns, and what admins set.

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

#[tokio::test]
async fn a_pause_outlives_the_limiter_and_is_not_shortened_by_a_cooldown() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let clock = ManualClock::at(0);
    let store = Store::open(&url, clock.clone(), 1.0).await.unwrap();
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    // Each of these processes has a limiter of its own, as after the loss of Redis.
    let process = || {
        let limiter = Arc::new(EmbeddedLimiter::default());
        let limiters = Limiters::new(limiter, Some(store.clone()));
        limiters.add_upstream("acme", UpstreamLimits { rate: 100.0, concurrency: 4 });
        limiters
    };
    let limiters = process();
    let Ok(mut begun) = limiters.acquire("acme").await else { panic!("refused") };
    let Ok(mut reserved) = limiters.acquire("acme").await else { panic!("refused") };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    begun.confirm(deadline).await.unwrap();
    let upstreams = ["acme".to_owned()];
    store.upstream_controls.pause(ada, "acme", &upstreams, 60_000, "sale").await.unwrap();
    limiters.load_controls().await.unwrap();
    limiters.start_cooldown("acme", Duration::ZERO, CooldownReason::TooManyRequests).await;
    assert!(begun.acquire_next(deadline).await.is_ok(), "what has begun goes on");
    let refused = reserved.confirm(deadline).await;
    assert!(matches!(refused, Err(AcquireError::Paused { .. })), "{refused:?}");
    for limiters in [limiters.clone(), process()] {
        limiters.load_controls().await.unwrap();
        let refused = limiters.acquire("acme").await.err();
        let Some(AcquireError::Paused { wait, pause }) = refused else { panic!("{refused:?}") };
        assert_eq!((wait, pause.note.as_str()), (Duration::from_secs(60), "sale"));
    }
    store.upstream_controls.resume(ada, "acme", &upstreams).await.unwrap();
    limiters.load_controls().await.unwrap();
    assert!(limiters.acquire("acme").await.is_ok());
    // A pause ends by itself.
    store.upstream_controls.pause(ada, "acme", &upstreams, 1_000, "").await.unwrap();
    limiters.load_controls().await.unwrap();
    assert!(limiters.pause("acme").is_some());
    clock.advance(1_001);
    assert_eq!(limiters.pause("acme"), None);
}

#[tokio::test]
async fn a_set_rate_applies_and_stays_when_the_configured_limits_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), Some(store.clone()));
    let limits = |rate| UpstreamLimits { rate, concurrency: 4 };
    limiters.add_upstream("acme", limits(2.0));
    let rate = async || limiters.state("acme").await.unwrap().current_rate / 0.97;
    store.upstream_controls.set_rate(ada, "acme", Some(0.5)).await.unwrap();
    assert!((rate().await - 2.0).abs() < 1e-9, "not read yet");
    limiters.load_controls().await.unwrap();
    assert!((rate().await - 0.5).abs() < 1e-9);
    limiters.add_upstream("acme", limits(4.0));
    assert!((rate().await - 0.5).abs() < 1e-9, "a file that is read again keeps it");
    assert_eq!(limiters.configured_limits("acme"), Some((limits(4.0), Some(0.5))));
    // A file that allows less wins.
    limiters.add_upstream("acme", limits(0.25));
    assert!((rate().await - 0.25).abs() < 1e-9);
    assert_eq!(limiters.configured_limits("acme"), Some((limits(0.25), None)));
    store.upstream_controls.set_rate(ada, "acme", None).await.unwrap();
    limiters.add_upstream("acme", limits(2.0));
    limiters.load_controls().await.unwrap();
    assert!((rate().await - 2.0).abs() < 1e-9);
}
