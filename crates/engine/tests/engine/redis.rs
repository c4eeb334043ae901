//! The rate limiter on a real Redis: the common suite, and failures of Redis.

use engine::limiter::{
    AcquireError, Error, Limiters, MAX_RESERVE_AHEAD, RateLimiter, Reservation, UpstreamLimits,
    redis::RedisLimiter, suite,
};
use std::{sync::Arc, time::Duration};
use testbed::RedisNode;
use tokio::time::Instant;
use uuid::Uuid;

const LIMITS: UpstreamLimits = UpstreamLimits { rate: 2.0, concurrency: 4 };

async fn reserve_permit(limiter: &RedisLimiter) -> engine::limiter::RatePermit {
    loop {
        match limiter.reserve("acme", &LIMITS, Uuid::now_v7(), MAX_RESERVE_AHEAD).await.unwrap() {
            Reservation::Granted(permit) => return permit,
            Reservation::StateLost => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn passes_the_port_suite() {
    let node = RedisNode::start();
    suite::run(&RedisLimiter::new(&node.url()).unwrap()).await;
}

#[tokio::test]
async fn a_flush_invalidates_earlier_permits_and_gives_no_burst_credit() {
    let node = RedisNode::start();
    let limiter = RedisLimiter::new(&node.url()).unwrap();
    let before = reserve_permit(&limiter).await;
    assert!(limiter.confirm("acme", &before.generation).await.unwrap());
    assert!(node.redis_cli(&["FLUSHALL"]));
    assert!(!limiter.confirm("acme", &before.generation).await.unwrap());
    let start = Instant::now();
    let after = reserve_permit(&limiter).await;
    assert!(start.elapsed() + after.wait > Duration::from_millis(500), "{after:?}");
    assert!(limiter.confirm("acme", &after.generation).await.unwrap());
}

#[tokio::test]
async fn the_limiter_reconnects_without_burst_credit() {
    let mut node = RedisNode::start();
    let limiters = Limiters::new(Arc::new(RedisLimiter::new(&node.url()).unwrap()), None);
    limiters.add_upstream("acme", LIMITS);
    assert!(limiters.acquire("acme").await.is_ok());
    node.kill();
    assert!(limiters.acquire("acme").await.is_err(), "a permit without the limiter");
    node.spawn();
    let start = Instant::now();
    while limiters.acquire("acme").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "it did not reconnect");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn workers_share_one_rate_and_the_concurrency_slots() {
    let node = RedisNode::start();
    let fast = UpstreamLimits { rate: 20.0, concurrency: 4 };
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let limiters = Limiters::new(Arc::new(RedisLimiter::new(&node.url()).unwrap()), None);
            limiters.add_upstream("acme", fast.clone());
            limiters
        })
        .collect();
    let start = Instant::now();
    let calls: Vec<_> = workers
        .iter()
        .cloned()
        .map(|limiters| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                while times.len() < 12 {
                    let Ok(mut permit) = limiters.acquire("acme").await else { continue };
                    if permit.confirm(Instant::now() + Duration::from_secs(30)).await.is_ok() {
                        times.push(start.elapsed());
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for call in calls {
        times.extend(call.await.unwrap());
    }
    times.sort();
    // Counts as an upstream does: a leaky bucket of two at the full rate.
    let mut level = 0.0_f64;
    let mut last = times[0];
    for &time in &times {
        level = (level - (time - last).as_secs_f64() * fast.rate).max(0.0) + 1.0;
        last = time;
        assert!(level <= 2.0, "over the limit at {time:?}: {times:?}");
    }
    let used = f64::from(u32::try_from(times.len()).unwrap()) / last.as_secs_f64();
    // Permits that come too late are returned, and there are many on a busy machine.
    assert!(used > 0.2 * fast.rate, "only {used:.1} of {} a second", fast.rate);
}

#[tokio::test]
async fn every_upstream_is_reset_when_the_server_restores_an_older_snapshot() {
    let mut node = RedisNode::start();
    let limiter = RedisLimiter::new(&node.url()).unwrap();
    let upstreams = ["acme", "bazaar"];
    let reserve = async |upstream| {
        limiter.reserve(upstream, &LIMITS, Uuid::now_v7(), MAX_RESERVE_AHEAD).await
    };
    let mut generations = Vec::new();
    for upstream in upstreams {
        assert_eq!(reserve(upstream).await.unwrap(), Reservation::StateLost);
        let Reservation::Granted(permit) = reserve(upstream).await.unwrap() else { panic!() };
        generations.push(permit.generation);
    }
    assert!(node.redis_cli(&["SAVE"]));
    let long = Duration::from_secs(60);
    for upstream in upstreams {
        limiter.start_cooldown(upstream, long, true).await.unwrap();
        assert!(matches!(
            reserve(upstream).await.unwrap(),
            Reservation::RetryAfter { in_cooldown: true, .. }
        ));
    }
    node.kill();
    assert!(reserve("acme").await.is_err());
    node.spawn();
    // Only SQL has the cooldown now: without a reset, the next caller would call.
    for (upstream, generation) in upstreams.into_iter().zip(&generations) {
        assert!(!limiter.confirm(upstream, generation).await.unwrap(), "{upstream}");
        assert_eq!(reserve(upstream).await.unwrap(), Reservation::StateLost, "{upstream}");
    }
    for upstream in upstreams {
        assert!(
            matches!(reserve(upstream).await.unwrap(), Reservation::Granted(_)),
            "{upstream}: reset once"
        );
    }
}

/// Moves all stored times a day ahead, as if the server's clock had been set back.
#[tokio::test]
async fn a_clock_set_back_does_not_delay_permits_by_a_day() {
    let node = RedisNode::start();
    let limiter = RedisLimiter::new(&node.url()).unwrap();
    reserve_permit(&limiter).await;
    limiter.start_cooldown("acme", Duration::from_secs(60), true).await.unwrap();
    let url = redis::Client::open(node.url()).unwrap();
    let mut connection = url.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let day = 86_400_000_000_i64;
    let mut moved = 0;
    for key in &keys {
        let kind: String = redis::cmd("TYPE").arg(key).query_async(&mut connection).await.unwrap();
        if kind == "hash" {
            for field in [
                "next_permit_at",
                "cooldown_until",
                "rate_factor_since",
                "last_refusal",
                "last_seen_time",
            ] {
                let exists: bool = redis::cmd("HEXISTS")
                    .arg(key)
                    .arg(field)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                if exists {
                    let by = redis::cmd("HINCRBY").arg(key).arg(field).arg(day).clone();
                    let _: i64 = by.query_async(&mut connection).await.unwrap();
                    moved += 1;
                }
            }
        } else if kind == "zset" {
            let slots: Vec<String> = redis::cmd("ZRANGE")
                .arg(key)
                .arg(0)
                .arg(-1)
                .query_async(&mut connection)
                .await
                .unwrap();
            for slot in slots {
                let by = redis::cmd("ZINCRBY").arg(key).arg(day).arg(slot).clone();
                let _: f64 = by.query_async(&mut connection).await.unwrap();
                moved += 1;
            }
        }
    }
    assert!(moved >= 5, "the test doesn't know the keys: {keys:?}");
    let Reservation::RetryAfter { wait, in_cooldown } =
        limiter.reserve("acme", &LIMITS, Uuid::now_v7(), MAX_RESERVE_AHEAD).await.unwrap()
    else {
        panic!("the cooldown is over")
    };
    assert!(in_cooldown && wait < Duration::from_secs(61), "{wait:?}");
}

/// Returns what a person has to do, as a waiting task shows it.
async fn misconfiguration_message(limiters: &Limiters) -> String {
    match limiters.acquire("acme").await.map(drop) {
        Err(AcquireError::Limiter(Error::Misconfigured(message))) => message,
        other => panic!("{other:?}"),
    }
}

fn limiters(url: &str) -> Limiters {
    let limiters = Limiters::new(Arc::new(RedisLimiter::new(url).unwrap()), None);
    limiters.add_upstream("acme", LIMITS);
    limiters
}

#[tokio::test]
async fn a_wrong_password_is_reported_at_once_with_the_remedy() {
    let node = RedisNode::start();
    let known = ["ACL", "SETUSER", "ada", "on", ">right", "+@all", "~*"];
    let poor = ["ACL", "SETUSER", "bob", "on", ">right", "+@connection", "~*"];
    assert!(node.redis_cli(&known) && node.redis_cli(&poor));
    assert!(node.redis_cli(&["CONFIG", "SET", "requirepass", "secret"]));
    let url = |who: &str| format!("redis://{who}127.0.0.1:{}/0", node.port());
    let wrong = "Redis refused the user or the password of the rate limiter. Check both in \
                 MEANWHILE_LIMITER.";
    for who in ["ada:wrong@", ":wrong@", "nobody:right@"] {
        assert_eq!(misconfiguration_message(&limiters(&url(who))).await, wrong, "{who}");
    }
    let none = misconfiguration_message(&limiters(&url(""))).await;
    assert!(none.contains("asks for a password") && none.contains("MEANWHILE_LIMITER"), "{none}");
    let poor = misconfiguration_message(&limiters(&url("bob:right@"))).await;
    assert!(poor.contains("lacks a permission"), "{poor}");
    assert!(limiters(&url("ada:right@")).acquire("acme").await.is_ok());
}

#[tokio::test]
async fn a_key_of_the_wrong_type_is_named_and_recovery_is_noticed() {
    let node = RedisNode::start();
    for key in ["meanwhile:limiter:{acme}", "meanwhile:limiter:{acme}:slots"] {
        assert!(node.redis_cli(&["FLUSHALL"]) && node.redis_cli(&["SET", key, "another type"]));
        let limiters = limiters(&node.url());
        let message = misconfiguration_message(&limiters).await;
        assert!(message.contains("another type") && message.contains(key), "{message}");
        assert!(node.redis_cli(&["DEL", key]));
        assert!(limiters.acquire("acme").await.is_ok(), "{key}");
    }
}
