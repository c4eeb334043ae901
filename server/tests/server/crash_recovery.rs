//! Accepted work survives `kill -9`.

use crate::support::{SANDBOX_SPEED, start_server};
use reqwest::{StatusCode, header};
use sandbox::RateLimit;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use testbed::{AllowedRate, MAX_DELAY_ON_BUSY_HOST};

fn product_csv(count: usize) -> String {
    let rows = (1..=count).map(|n| format!("MW-{n:03},Lamp {n},19.90\n"));
    std::iter::once("sku,title,price\n".to_owned()).chain(rows).collect()
}

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme,bazaar,corner,depot";
const CHANNELS: [&str; 4] = ["acme", "bazaar", "corner", "depot"];
/// So many that most requests follow the last kill without a pause, and show a rate that
/// is a quarter too high; see [`AllowedRate`].
const PRODUCT_COUNT: usize = 120;
const TASK_COUNT: u64 = PRODUCT_COUNT as u64 * CHANNELS.len() as u64;

#[tokio::test]
async fn batch_survives_kills_without_loss_or_duplicates() {
    let mut meanwhile = start_server().await;
    let launch =
        meanwhile.api.post(UPLOAD).header("Idempotency-Key", "k").body(product_csv(PRODUCT_COUNT));
    let response = launch.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();

    let mut finished = 0;
    for _ in 0..5 {
        // Kills in the middle of calls: at least ten tasks finished since the last.
        let start = Instant::now();
        loop {
            let job = meanwhile.api.get_json(&location).await.unwrap();
            let now = job["total"].as_u64().unwrap() - job["open"].as_u64().unwrap();
            if now >= finished + 10 || now == TASK_COUNT {
                finished = now;
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no progress: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        meanwhile.kill();
        meanwhile.spawn().await.unwrap();
    }
    // A client that never saw its 202 retries with the same key.
    let retry =
        meanwhile.api.post(UPLOAD).header("Idempotency-Key", "k").body(product_csv(PRODUCT_COUNT));
    let retry = retry.send().await.unwrap();
    assert_eq!(retry.headers()[header::LOCATION].to_str().unwrap(), location);

    let start = Instant::now();
    let job = loop {
        let job = meanwhile.api.get_json(&location).await.unwrap();
        if job["open"] == 0 {
            break job;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "the job has not finished: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut counted = HashMap::<String, u64>::new();
    let mut next = String::new();
    loop {
        let page =
            meanwhile.api.get_json(&format!("{location}/tasks?limit=100{next}")).await.unwrap();
        for task in page["items"].as_array().unwrap() {
            *counted.entry(task["state"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(counted.values().sum::<u64>(), TASK_COUNT);
    for state in ["succeeded", "failed", "rejected", "needs_review"] {
        assert_eq!(job[state].as_u64().unwrap(), counted.get(state).copied().unwrap_or(0));
    }

    // The sandbox's own ledger of requests and effects.
    let mut ledger = meanwhile.api.ledger().await.unwrap();
    for channel in sandbox::SAMPLE_CHANNELS.iter().filter(|channel| CHANNELS.contains(&channel.id))
    {
        let record = ledger.remove(channel.id).unwrap();
        // The sandbox counts arrivals, and the limiter spaces departures: two requests that
        // a busy host delays by different times arrive closer together than they were
        // sent. What no such delay explains is a violation, of every process's requests
        // together.
        let RateLimit { per_second, burst } = channel.request_limit();
        let limit = AllowedRate {
            rate: per_second * SANDBOX_SPEED,
            burst,
            max_delay: MAX_DELAY_ON_BUSY_HOST,
        };
        let arrivals = record.requests.iter().map(|request| request.at_ms);
        assert_eq!(limit.count_violations(arrivals), 0, "{}: over the limit", channel.id);
        let mut skus = HashMap::<&str, u32>::new();
        for effect in record.effects.iter().filter(|effect| effect.created) {
            *skus.entry(&effect.sku).or_default() += 1;
        }
        let twice: Vec<_> = skus.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{}: stored twice: {twice:?}", channel.id);
    }
}
