//! The gate's suite on a real Redis, and what only it can do wrong.
#![allow(clippy::unwrap_used)]

use engine::{
    gate::{Error, Gate, Gates, Limits, Refused, Reserved, redis::Redis, suite},
    testing::RedisNode,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

const LIMITS: Limits = Limits { rate: 2.0, concurrency: 4 };

async fn slot(gate: &Redis) -> engine::gate::Slot {
    loop {
        match gate.reserve("acme", &LIMITS, Uuid::now_v7()).await.unwrap() {
            Reserved::Slot(slot) => return slot,
            Reserved::Anew => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn keeps_the_suite() {
    let node = RedisNode::start();
    suite::run(&Redis::new(&node.url()).unwrap()).await;
}

#[tokio::test]
async fn what_was_flushed_gives_no_credit_and_slots_of_before_are_given_up() {
    let node = RedisNode::start();
    let gate = Redis::new(&node.url()).unwrap();
    let before = slot(&gate).await;
    assert!(gate.confirm("acme", &before.generation).await.unwrap());
    assert!(node.control(&["FLUSHALL"]));
    assert!(!gate.confirm("acme", &before.generation).await.unwrap());
    let after = slot(&gate).await;
    assert!(after.wait > Duration::from_millis(500), "{after:?}");
    assert!(gate.confirm("acme", &after.generation).await.unwrap());
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again_and_gives_no_credit() {
    let mut node = RedisNode::start();
    let gates = Gates::new(Arc::new(Redis::new(&node.url()).unwrap()), None);
    gates.add("acme", LIMITS);
    assert!(gates.enter("acme").await.is_ok());
    node.kill();
    assert!(gates.enter("acme").await.is_err(), "nobody enters without the gate");
    node.spawn();
    let start = Instant::now();
    while gates.enter("acme").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "it was not found again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn many_workers_keep_one_pace_and_share_the_places() {
    let node = RedisNode::start();
    let fast = Limits { rate: 20.0, concurrency: 4 };
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let gates = Gates::new(Arc::new(Redis::new(&node.url()).unwrap()), None);
            gates.add("acme", fast.clone());
            gates
        })
        .collect();
    let start = Instant::now();
    let calls: Vec<_> = workers
        .iter()
        .cloned()
        .map(|gates| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                while times.len() < 12 {
                    if let Ok(mut permit) = gates.enter("acme").await {
                        permit.fresh(Instant::now() + Duration::from_secs(30)).await.unwrap();
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
    // As a service counts: a bucket of two at the full rate.
    let mut level = 0.0_f64;
    let mut last = times[0];
    for &time in &times {
        level = (level - (time - last).as_secs_f64() * fast.rate).max(0.0) + 1.0;
        last = time;
        assert!(level <= 2.0, "over the limit at {time:?}: {times:?}");
    }
    let used = f64::from(u32::try_from(times.len()).unwrap()) / last.as_secs_f64();
    assert!(used > 0.8 * fast.rate, "only {used:.1} of {} a second", fast.rate);
}

#[tokio::test]
async fn every_account_begins_anew_where_a_server_came_back_with_an_older_memory() {
    let mut node = RedisNode::start();
    let gate = Redis::new(&node.url()).unwrap();
    let accounts = ["acme", "bazaar"];
    let ask = async |account| gate.reserve(account, &LIMITS, Uuid::now_v7()).await;
    let mut generations = Vec::new();
    for account in accounts {
        assert_eq!(ask(account).await.unwrap(), Reserved::Anew);
        let Reserved::Slot(slot) = ask(account).await.unwrap() else { panic!() };
        generations.push(slot.generation);
    }
    assert!(node.control(&["SAVE"]));
    let long = Duration::from_secs(60);
    for account in accounts {
        gate.close(account, long, true).await.unwrap();
        assert!(matches!(ask(account).await.unwrap(), Reserved::Later { closed: true, .. }));
    }
    node.kill();
    assert!(ask("acme").await.is_err());
    node.spawn();
    // Who is not told of a closing would call: that is known in SQL alone now.
    for (account, generation) in accounts.into_iter().zip(&generations) {
        assert!(!gate.confirm(account, generation).await.unwrap(), "{account}");
        assert_eq!(ask(account).await.unwrap(), Reserved::Anew, "{account}");
    }
    for account in accounts {
        assert!(matches!(ask(account).await.unwrap(), Reserved::Slot(_)), "{account}, once");
    }
}

/// As if the server's clock had been a day ahead until now.
#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_a_slot_for_a_day() {
    let node = RedisNode::start();
    let gate = Redis::new(&node.url()).unwrap();
    slot(&gate).await;
    gate.close("acme", Duration::from_secs(60), true).await.unwrap();
    let url = redis::Client::open(node.url()).unwrap();
    let mut connection = url.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let day = 86_400_000_000_i64;
    let mut moved = 0;
    for key in &keys {
        let kind: String = redis::cmd("TYPE").arg(key).query_async(&mut connection).await.unwrap();
        if kind == "hash" {
            for field in ["next", "closed", "since", "refusal", "seen"] {
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
            let places: Vec<String> = redis::cmd("ZRANGE")
                .arg(key)
                .arg(0)
                .arg(-1)
                .query_async(&mut connection)
                .await
                .unwrap();
            for place in places {
                let by = redis::cmd("ZINCRBY").arg(key).arg(day).arg(place).clone();
                let _: f64 = by.query_async(&mut connection).await.unwrap();
                moved += 1;
            }
        }
    }
    assert!(moved >= 5, "the test knows the keys: {keys:?}");
    let Reserved::Later { wait, closed } =
        gate.reserve("acme", &LIMITS, Uuid::now_v7()).await.unwrap()
    else {
        panic!("it is closed still")
    };
    assert!(closed && wait < Duration::from_secs(61), "{wait:?}");
}

/// What a person has to do, as `account`'s task shows it.
async fn what_to_do(gates: &Gates) -> String {
    match gates.enter("acme").await.map(drop) {
        Err(Refused::Unreachable(Error::Unusable(words))) => words,
        other => panic!("{other:?}"),
    }
}

fn gates(url: &str) -> Gates {
    let gates = Gates::new(Arc::new(Redis::new(url).unwrap()), None);
    gates.add("acme", LIMITS);
    gates
}

#[tokio::test]
async fn a_wrong_password_says_what_to_do_and_is_not_waited_for_in_silence() {
    let node = RedisNode::start();
    let known = ["ACL", "SETUSER", "ada", "on", ">right", "+@all", "~*"];
    let poor = ["ACL", "SETUSER", "bob", "on", ">right", "+@connection", "~*"];
    assert!(node.control(&known) && node.control(&poor));
    assert!(node.control(&["CONFIG", "SET", "requirepass", "secret"]));
    let url = |who: &str| format!("redis://{who}127.0.0.1:{}/0", node.port());
    let wrong = "Redis refused the user or the password of our pace keeper. Check both in \
                 MEANWHILE_GATE.";
    for who in ["ada:wrong@", ":wrong@", "nobody:right@"] {
        assert_eq!(what_to_do(&gates(&url(who))).await, wrong, "{who}");
    }
    let none = what_to_do(&gates(&url(""))).await;
    assert!(none.contains("asks for a password") && none.contains("MEANWHILE_GATE"), "{none}");
    let poor = what_to_do(&gates(&url("bob:right@"))).await;
    assert!(poor.contains("lacks a permission"), "{poor}");
    assert!(gates(&url("ada:right@")).enter("acme").await.is_ok());
}

#[tokio::test]
async fn a_key_of_another_type_is_named_and_found_mended() {
    let node = RedisNode::start();
    for key in ["meanwhile:gate:{acme}", "meanwhile:gate:{acme}:places"] {
        assert!(node.control(&["FLUSHALL"]) && node.control(&["SET", key, "of another"]));
        let gates = gates(&node.url());
        let words = what_to_do(&gates).await;
        assert!(words.contains("another type") && words.contains(key), "{words}");
        assert!(node.control(&["DEL", key]));
        assert!(gates.enter("acme").await.is_ok(), "{key}");
    }
}
