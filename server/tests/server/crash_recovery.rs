//! Accepted work survives `kill -9`.

use crate::support::ServerProcess;
use reqwest::{StatusCode, header};
use serde_json::Value;
use std::time::{Duration, Instant};

fn product_csv(count: usize) -> String {
    let rows = (1..=count).map(|n| format!("MW-{n:03},Lamp {n},19.90\n"));
    std::iter::once("sku,title,price\n".to_owned()).chain(rows).collect()
}

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme,bazaar,corner";

#[tokio::test]
async fn batch_survives_kills_without_loss_or_duplicates() {
    let mut meanwhile = ServerProcess::start().await;
    let launch = meanwhile.post(UPLOAD).header("Idempotency-Key", "k").body(product_csv(60));
    let response = launch.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();

    let mut finished = 0;
    for _ in 0..5 {
        // Kills in the middle of calls: at least ten tasks finished since the last.
        let start = Instant::now();
        loop {
            let job = meanwhile.get_json(&location).await;
            let now = job["total"].as_u64().unwrap() - job["open"].as_u64().unwrap();
            if now >= finished + 10 || now == 180 {
                finished = now;
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no progress: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        meanwhile.kill();
        meanwhile.spawn(true).await;
    }
    // A client that never saw its 202 retries with the same key.
    let retry = meanwhile.post(UPLOAD).header("Idempotency-Key", "k").body(product_csv(60));
    let retry = retry.send().await.unwrap();
    assert_eq!(retry.headers()[header::LOCATION].to_str().unwrap(), location);

    let start = Instant::now();
    let job = loop {
        let job = meanwhile.get_json(&location).await;
        if job["open"] == 0 {
            break job;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "the job has not finished: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut counted = std::collections::HashMap::<String, u64>::new();
    let mut next = String::new();
    loop {
        let page = meanwhile.get_json(&format!("{location}/tasks?limit=100{next}")).await;
        for task in page["items"].as_array().unwrap() {
            *counted.entry(task["state"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(counted.values().sum::<u64>(), 180);
    for state in ["succeeded", "failed", "needs_review"] {
        assert_eq!(job[state].as_u64().unwrap(), counted.get(state).copied().unwrap_or(0));
    }

    // The sandbox's own ledger of requests and effects.
    let url = format!("http://127.0.0.1:{}/ledger", meanwhile.sandbox_port);
    let ledger: Value = meanwhile.client.get(url).send().await.unwrap().json().await.unwrap();
    for channel in ["acme", "bazaar", "corner"] {
        let requests = ledger[channel]["requests"].as_array().unwrap();
        let over_limit = requests.iter().filter(|request| request["over_limit"] == true).count();
        assert_eq!(over_limit, 0, "{channel}: requests over the limit");
        let mut skus = std::collections::HashMap::<&str, u32>::new();
        for effect in ledger[channel]["effects"].as_array().unwrap() {
            if effect["created"] == true {
                *skus.entry(effect["sku"].as_str().unwrap()).or_default() += 1;
            }
        }
        let twice: Vec<_> = skus.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{channel}: stored twice: {twice:?}");
    }
}
