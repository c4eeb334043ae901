//! The binary as a process: accepted work survives `kill -9`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::Meanwhile;

fn csv(products: usize) -> String {
    let rows = (1..=products).map(|n| format!("MW-{n:03},Lamp {n},19.90\n"));
    std::iter::once("sku,title,price\n".to_owned()).chain(rows).collect()
}

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme,bazaar,corner";

#[tokio::test]
async fn a_batch_survives_kills_with_nothing_lost_and_nothing_doubled() {
    let mut meanwhile = Meanwhile::start().await;
    let launch = meanwhile.post(UPLOAD).header("Idempotency-Key", "k").body(csv(60));
    let response = launch.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()[header::LOCATION].to_str().unwrap().to_owned();

    let mut done = 0;
    for _ in 0..5 {
        // A kill in the middle of calls: some work was done since the last.
        let start = Instant::now();
        loop {
            let job = meanwhile.get(&location).await;
            let now = job["total"].as_u64().unwrap() - job["open"].as_u64().unwrap();
            if now >= done + 10 || now == 180 {
                done = now;
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no progress: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        meanwhile.kill();
        meanwhile.spawn(true).await;
    }
    // The client that never saw its 202 asks again with the same key.
    let again = meanwhile.post(UPLOAD).header("Idempotency-Key", "k").body(csv(60));
    let again = again.send().await.unwrap();
    assert_eq!(again.headers()[header::LOCATION].to_str().unwrap(), location);

    let start = Instant::now();
    let job = loop {
        let job = meanwhile.get(&location).await;
        if job["open"] == 0 {
            break job;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "not at an end: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut counted = std::collections::HashMap::<String, u64>::new();
    let mut next = String::new();
    loop {
        let page = meanwhile.get(&format!("{location}/tasks?limit=100{next}")).await;
        for task in page["items"].as_array().unwrap() {
            *counted.entry(task["state"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(counted.values().sum::<u64>(), 180);
    for state in ["succeeded", "failed", "needs_person"] {
        assert_eq!(job[state].as_u64().unwrap(), counted.get(state).copied().unwrap_or(0));
    }

    // What the outside itself counted.
    let url = format!("http://127.0.0.1:{}/ledger", meanwhile.sandbox);
    let ledger: Value = meanwhile.client.get(url).send().await.unwrap().json().await.unwrap();
    for channel in ["acme", "bazaar", "corner"] {
        let requests = ledger[channel]["requests"].as_array().unwrap();
        let over = requests.iter().filter(|request| request["over"] == true).count();
        assert_eq!(over, 0, "{channel}: requests over the limit");
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

#[tokio::test]
async fn signed_out_or_from_elsewhere_nothing_is_told_and_nothing_changes() {
    let meanwhile = Meanwhile::start().await;
    for path in ["/api/v1/jobs", "/api/v1/notifications", "/api/v1/channels"] {
        let response = meanwhile.client.get(meanwhile.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    for origin in ["null", "https://evil.example", "http://localhost.evil.example"] {
        let request = meanwhile
            .client
            .post(meanwhile.url(UPLOAD))
            .header(header::ORIGIN, origin)
            .header(header::COOKIE, &meanwhile.cookie)
            .body(csv(1));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(meanwhile.get("/api/v1/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn bad_input_is_named_and_nothing_is_stored() {
    let meanwhile = Meanwhile::start().await;
    for (body, words) in [
        (Vec::new(), "empty"),
        (b"sku,title,price\nA,Lamp,x\n".to_vec(), "line 2"),
        (b"sku,title,price\nA,Lamp,-3\n".to_vec(), "negative"),
        (b"PK\x03\x04\0\0".to_vec(), "CSV"),
    ] {
        let response = meanwhile.post(UPLOAD).body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Value = response.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail:?} lacks {words:?}");
    }
    let unknown = meanwhile.post("/api/v1/jobs/product-uploads?channels=nowhere").body(csv(1));
    assert_eq!(unknown.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    let huge = meanwhile.post(UPLOAD).body(vec![b'a'; 33 * 1024 * 1024]);
    assert_eq!(huge.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(meanwhile.get("/api/v1/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn a_stranger_cannot_make_the_first_account() {
    for listen in ["127.0.0.1", "0.0.0.0"] {
        let mut meanwhile = Meanwhile::new(listen);
        meanwhile.spawn(false).await;
        let log = meanwhile.log();
        let told =
            log.split("set-up token: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let page = meanwhile.client.get(meanwhile.url("/setup")).send().await.unwrap();
        let asked = page.text().await.unwrap().contains("name=\"token\"");
        let reachable = listen == "0.0.0.0";
        assert_eq!((told.is_some(), asked), (reachable, reachable), "{listen}: {log}");

        let make = async |token: &str| {
            let who =
                [("email", "eve@example.com"), ("password", "correct-horse"), ("token", token)];
            meanwhile.post("/setup").form(&who).send().await.unwrap();
            let who = json!({ "email": "eve@example.com", "password": "correct-horse" });
            let signed_in = meanwhile.post("/api/v1/session").json(&who).send().await.unwrap();
            signed_in.status() == StatusCode::NO_CONTENT
        };
        if reachable {
            assert!(!make("").await && !make("guessed").await);
        }
        assert!(make(told.unwrap_or_default()).await, "{listen}");
    }
}
