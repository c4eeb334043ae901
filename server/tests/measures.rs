//! `GET /metrics`: what an upload causes can be read off it, by whoever may.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use support::{Meanwhile, free_port, seed};

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme";
const QUEUE: &str = "meanwhile.q.product.upload.acme.v1";
const PRODUCTS: f64 = 3.0;
const FILE: &str = "sku,title,price\nA-1,Lamp,1\nA-2,Lamp,1\nA-3,Lamp,1\n";

/// Ada the admin and Bob have a session and a token each, named after them.
async fn start(env: Vec<(&'static str, String)>) -> Meanwhile {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    let store = seed::store(&meanwhile).await;
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let bob = seed::user(&meanwhile, "bob@example.com").await;
    for (user, name) in [(ada, "ada"), (bob, "bob")] {
        seed::sign_in(&store, user, name).await;
        seed::token(&store, user, name).await;
    }
    meanwhile.cookie = seed::cookie("ada");
    meanwhile.env.push(("MEANWHILE_SANDBOX_FAULTS", "false".into()));
    meanwhile.env.extend(env);
    meanwhile.spawn(false).await;
    meanwhile
}

/// The value of the one sample of that name with these labels; 0 where there
/// is none yet.
fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |line: &&str| {
        let series = line.rsplit_once(' ').map_or("", |(series, _)| series);
        let own = series.split('{').next() == Some(name);
        own && labels.iter().all(|(label, value)| series.contains(&format!("{label}=\"{value}\"")))
    };
    let found: Vec<_> = text.lines().filter(fits).collect();
    assert!(found.len() <= 1, "{name} {labels:?} is not one: {found:?}");
    found.first().map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// Reads until it holds: what stands at a time is kept for some seconds.
async fn until(url: &str, what: &str, holds: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let text = Client::new().get(url).send().await.unwrap().text().await.unwrap();
        if holds(&text) {
            return text;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute: {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_an_upload_causes_can_be_read() {
    let port = free_port();
    let meanwhile = start(vec![("MEANWHILE_METRICS", format!("127.0.0.1:{port}"))]).await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    let before = until(&url, "a first answer", |_| true).await;
    for part in ["database", "broker", "gates"] {
        assert_eq!(value(&before, "meanwhile_up", &[("part", part)]), 1.0, "{part}");
    }
    assert_eq!(value(&before, "meanwhile_queue_consumers", &[("queue", QUEUE)]), 1.0);
    assert_eq!(value(&before, "meanwhile_jobs_accepted_total", &[]), 0.0);

    let launched = meanwhile.post(UPLOAD).body(FILE).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    let bad = meanwhile.post(UPLOAD).body("no,such,columns\n1,2,3\n").send().await.unwrap();
    assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let kind = [("kind", "product_uploads")];
    let command = ("command", "product.upload");
    let text = until(&url, "the job's end", |text| {
        value(text, "meanwhile_jobs_ended_total", &[kind[0], ("end", "succeeded")]) == 1.0
    })
    .await;
    let queue = ("queue", QUEUE);
    for (name, labels, expected) in [
        ("meanwhile_jobs_accepted_total", vec![kind[0]], 1.0),
        ("meanwhile_tasks_accepted_total", vec![kind[0]], PRODUCTS),
        ("meanwhile_tasks_ended_total", vec![command, ("end", "succeeded")], PRODUCTS),
        ("meanwhile_tasks_ended_total", vec![command, ("end", "failed")], 0.0),
        ("meanwhile_attempts_total", vec![command, ("outcome", "done")], PRODUCTS),
        ("meanwhile_attempt_seconds_count", vec![command], PRODUCTS),
        ("meanwhile_claims_total", vec![("result", "claimed")], PRODUCTS),
        ("meanwhile_published_total", vec![queue], PRODUCTS),
        ("meanwhile_publish_failures_total", vec![queue], 0.0),
        ("meanwhile_reaped_total", vec![], 0.0),
    ] {
        assert_eq!(value(&text, name, &labels), expected, "{name} {labels:?} in {text}");
    }
    let waited = value(&text, "meanwhile_gate_wait_seconds_count", &[("account", "acme")]);
    assert!(waited >= PRODUCTS, "{waited}");
    let upload = ("route", "/api/v1/jobs/product-uploads");
    let requests = |status| {
        let labels = [("method", "POST"), upload, ("status", status)];
        value(&text, "meanwhile_http_requests_total", &labels)
    };
    assert_eq!((requests("202"), requests("422")), (1.0, 1.0), "{text}");
    assert_eq!(value(&text, "meanwhile_http_request_seconds_count", &[upload]), 2.0);
    assert!(value(&text, "process_resident_memory_bytes", &[]) > 1e6);

    // By the outside's own account there were as many calls.
    let ledger = format!("http://127.0.0.1:{}/ledger", meanwhile.sandbox);
    let ledger: Value = Client::new().get(ledger).send().await.unwrap().json().await.unwrap();
    let created = ledger["acme"]["effects"].as_array().unwrap().len();
    assert_eq!(created, PRODUCTS as usize);
    let idle = until(&url, "nothing is open", |text| value(text, "meanwhile_jobs", &[]) == 0.0);
    let idle = idle.await;
    for state in ["queued", "published", "running"] {
        let open = value(&idle, "meanwhile_tasks", &[queue, ("state", state)]);
        assert_eq!(open, 0.0, "{state}");
    }
}

#[tokio::test]
async fn the_backlog_is_counted_and_a_flood_of_made_up_requests_makes_no_label() {
    let port = free_port();
    let env = vec![
        ("MEANWHILE_METRICS", format!("127.0.0.1:{port}")),
        ("MEANWHILE_SANDBOX_SPEED", "0.001".into()),
    ];
    let meanwhile = start(env).await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    let launched = meanwhile.post(UPLOAD).body(FILE).send().await.unwrap();
    let launched: Value = launched.json().await.unwrap();
    let open = |text: &str| -> f64 {
        let of = |state| value(text, "meanwhile_tasks", &[("queue", QUEUE), ("state", state)]);
        of("queued") + of("published") + of("running")
    };
    // Jobs and tasks are counted one after the other: a launch may come between.
    until(&url, "the backlog", |text| {
        value(text, "meanwhile_jobs", &[]) == 1.0 && open(text) == PRODUCTS
    })
    .await;

    let client = Client::new();
    for n in 0..20 {
        let path = meanwhile.url(&format!("/made/up-{n}"));
        let method = reqwest::Method::from_bytes(format!("MADEUP{n}").as_bytes()).unwrap();
        client.request(method, &path).send().await.unwrap();
        client.get(meanwhile.url(&format!("/api/v1/made-{n}"))).send().await.unwrap();
        client.get(meanwhile.url(&format!("/api/v1/jobs/made-{n}"))).send().await.unwrap();
    }
    let job = launched["job"]["id"].as_str().unwrap();
    meanwhile.get(&format!("/api/v1/jobs/{job}")).await;
    let text = until(&url, "an answer", |_| true).await;
    assert!(!text.to_lowercase().contains("made"), "{text}");
    assert!(!text.contains(job), "{text}");
    // Each measure says what it is.
    let names = |prefix: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names("# TYPE "), names("# HELP "));
    assert!(names("# TYPE ").len() > 15, "{text}");
}

#[tokio::test]
async fn beside_the_pages_it_is_for_an_admin_alone() {
    let meanwhile = start(Vec::new()).await;
    let url = meanwhile.url("/metrics");
    let client = Client::new();
    let tells = async |response: Response| -> (u16, bool) {
        let status = response.status().as_u16();
        (status, response.text().await.unwrap().contains("meanwhile_"))
    };
    let get = || client.get(&url);
    assert_eq!(tells(get().send().await.unwrap()).await, (401, false));
    assert_eq!(tells(get().bearer_auth("made-up").send().await.unwrap()).await, (401, false));
    assert_eq!(tells(get().bearer_auth("bob").send().await.unwrap()).await, (404, false));
    let bob = get().header(header::COOKIE, seed::cookie("bob"));
    assert_eq!(tells(bob.send().await.unwrap()).await, (404, false));
    assert_eq!(tells(get().bearer_auth("ada").send().await.unwrap()).await, (200, true));
    let gone = meanwhile.post("/api/v1/session").json(&json!({})).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
