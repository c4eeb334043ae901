//! `GET /metrics`: an upload shows up in the metrics, for those who may read
//! them.

use crate::{seed, support::new_server};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use testbed::{ServerProcess, free_port};

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme";
const QUEUE: &str = "meanwhile.q.product.upload.acme.v1";
const PRODUCT_COUNT: f64 = 3.0;
const CSV: &str = "sku,title,price\nA-1,Lamp,1\nA-2,Lamp,1\nA-3,Lamp,1\n";

/// Starts a server on which Ada, an admin, and Bob each have a session and an
/// API token, named after them.
async fn start_server(env: Vec<(&'static str, String)>) -> ServerProcess {
    let mut meanwhile = new_server();
    let store = seed::open_store(&meanwhile).await;
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let bob = seed::create_user(&meanwhile, "bob@example.com").await;
    for (user, name) in [(ada, "ada"), (bob, "bob")] {
        seed::create_session(&store, user, name).await;
        seed::create_token(&store, user, name).await;
    }
    meanwhile.api.cookie = seed::session_cookie("ada");
    meanwhile.set_env("MEANWHILE_SANDBOX_FAULTS", "false");
    for (name, value) in env {
        meanwhile.set_env(name, value);
    }
    meanwhile.spawn().await.unwrap();
    meanwhile
}

/// Returns the value of the only sample with this name and these labels, or 0 if
/// there is none yet.
fn metric_value(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let matches = |line: &&str| {
        let series = line.rsplit_once(' ').map_or("", |(series, _)| series);
        let has_name = series.split('{').next() == Some(name);
        has_name
            && labels.iter().all(|(label, value)| series.contains(&format!("{label}=\"{value}\"")))
    };
    let found: Vec<_> = text.lines().filter(matches).collect();
    assert!(found.len() <= 1, "{name} {labels:?} matches several samples: {found:?}");
    found.first().map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// Reads the metrics until `holds` is true: gauges are refreshed only every few
/// seconds.
async fn wait_for_metrics(url: &str, what: &str, holds: impl Fn(&str) -> bool) -> String {
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
async fn upload_is_visible_in_the_metrics() {
    let port = free_port();
    let meanwhile =
        start_server(vec![("MEANWHILE_METRICS_LISTEN", format!("127.0.0.1:{port}"))]).await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    let before = wait_for_metrics(&url, "the first answer", |_| true).await;
    for component in ["database", "broker", "limiter"] {
        let up = metric_value(&before, "meanwhile_up", &[("component", component)]);
        assert_eq!(up, 1.0, "{component}");
    }
    assert_eq!(metric_value(&before, "meanwhile_queue_consumers", &[("queue", QUEUE)]), 1.0);
    assert_eq!(metric_value(&before, "meanwhile_jobs_accepted_total", &[]), 0.0);

    let launched = meanwhile.api.post(UPLOAD).body(CSV).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    let bad = meanwhile.api.post(UPLOAD).body("no,such,columns\n1,2,3\n").send().await.unwrap();
    assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let kind = [("kind", "product_uploads")];
    let command = ("command", "product.upload");
    let text = wait_for_metrics(&url, "the job's end", |text| {
        metric_value(text, "meanwhile_jobs_finished_total", &[kind[0], ("state", "succeeded")])
            == 1.0
    })
    .await;
    let queue = ("queue", QUEUE);
    for (name, labels, expected) in [
        ("meanwhile_jobs_accepted_total", vec![kind[0]], 1.0),
        ("meanwhile_tasks_accepted_total", vec![kind[0]], PRODUCT_COUNT),
        ("meanwhile_tasks_finished_total", vec![command, ("state", "succeeded")], PRODUCT_COUNT),
        ("meanwhile_tasks_finished_total", vec![command, ("state", "failed")], 0.0),
        ("meanwhile_attempts_total", vec![command, ("result", "succeeded")], PRODUCT_COUNT),
        ("meanwhile_attempt_duration_seconds_count", vec![command], PRODUCT_COUNT),
        ("meanwhile_claims_total", vec![("result", "claimed")], PRODUCT_COUNT),
        ("meanwhile_tasks_published_total", vec![queue], PRODUCT_COUNT),
        ("meanwhile_publish_failures_total", vec![queue], 0.0),
        ("meanwhile_tasks_reaped_total", vec![], 0.0),
    ] {
        assert_eq!(metric_value(&text, name, &labels), expected, "{name} {labels:?} in {text}");
    }
    let waits =
        metric_value(&text, "meanwhile_limiter_wait_seconds_count", &[("upstream", "acme")]);
    assert!(waits >= PRODUCT_COUNT, "{waits}");
    let upload = ("route", "/api/v1/jobs/product-uploads");
    let requests = |status| {
        let labels = [("method", "POST"), upload, ("status", status)];
        metric_value(&text, "meanwhile_http_requests_total", &labels)
    };
    assert_eq!((requests("202"), requests("422")), (1.0, 1.0), "{text}");
    assert_eq!(
        metric_value(&text, "meanwhile_http_request_duration_seconds_count", &[upload]),
        2.0
    );
    assert!(metric_value(&text, "process_resident_memory_bytes", &[]) > 1e6);

    // The sandbox's ledger counts the same number of effects.
    let ledger = format!("http://127.0.0.1:{}/ledger", meanwhile.api.sandbox_port);
    let ledger: Value = Client::new().get(ledger).send().await.unwrap().json().await.unwrap();
    let created = ledger["acme"]["effects"].as_array().unwrap().len();
    assert_eq!(created, PRODUCT_COUNT as usize);
    let idle = wait_for_metrics(&url, "no job is running", |text| {
        metric_value(text, "meanwhile_jobs_running", &[]) == 0.0
    });
    let idle = idle.await;
    for state in ["queued", "published", "running"] {
        let open = metric_value(&idle, "meanwhile_tasks", &[queue, ("state", state)]);
        assert_eq!(open, 0.0, "{state}");
    }
}

#[tokio::test]
async fn backlog_is_counted_and_unknown_requests_add_no_labels() {
    let port = free_port();
    let env = vec![
        ("MEANWHILE_METRICS_LISTEN", format!("127.0.0.1:{port}")),
        ("MEANWHILE_SANDBOX_SPEED", "0.001".into()),
    ];
    let meanwhile = start_server(env).await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    let launched = meanwhile.api.post(UPLOAD).body(CSV).send().await.unwrap();
    let launched: Value = launched.json().await.unwrap();
    let open = |text: &str| -> f64 {
        let tasks_in =
            |state| metric_value(text, "meanwhile_tasks", &[("queue", QUEUE), ("state", state)]);
        tasks_in("queued") + tasks_in("published") + tasks_in("running")
    };
    // Jobs and tasks are counted by two queries: a launch may happen in between.
    wait_for_metrics(&url, "the backlog", |text| {
        metric_value(text, "meanwhile_jobs_running", &[]) == 1.0 && open(text) == PRODUCT_COUNT
    })
    .await;

    let client = Client::new();
    for n in 0..20 {
        let path = meanwhile.api.url(&format!("/made/up-{n}"));
        let method = reqwest::Method::from_bytes(format!("MADEUP{n}").as_bytes()).unwrap();
        client.request(method, &path).send().await.unwrap();
        client.get(meanwhile.api.url(&format!("/api/v1/made-{n}"))).send().await.unwrap();
        client.get(meanwhile.api.url(&format!("/api/v1/jobs/made-{n}"))).send().await.unwrap();
    }
    let job = launched["job"]["id"].as_str().unwrap();
    meanwhile.api.get_json(&format!("/api/v1/jobs/{job}")).await.unwrap();
    let text = wait_for_metrics(&url, "an answer", |_| true).await;
    assert!(!text.to_lowercase().contains("made"), "{text}");
    assert!(!text.contains(job), "{text}");
    // Every metric has a description.
    let names = |prefix: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names("# TYPE "), names("# HELP "));
    assert!(names("# TYPE ").len() > 15, "{text}");
}

#[tokio::test]
async fn metrics_on_the_web_port_are_for_admins_only() {
    let meanwhile = start_server(Vec::new()).await;
    let url = meanwhile.api.url("/metrics");
    let client = Client::new();
    let status_and_content = async |response: Response| -> (u16, bool) {
        let status = response.status().as_u16();
        (status, response.text().await.unwrap().contains("meanwhile_"))
    };
    let get = || client.get(&url);
    assert_eq!(status_and_content(get().send().await.unwrap()).await, (401, false));
    assert_eq!(
        status_and_content(get().bearer_auth("made-up").send().await.unwrap()).await,
        (401, false)
    );
    assert_eq!(
        status_and_content(get().bearer_auth("bob").send().await.unwrap()).await,
        (404, false)
    );
    let bob = get().header(header::COOKIE, seed::session_cookie("bob"));
    assert_eq!(status_and_content(bob.send().await.unwrap()).await, (404, false));
    assert_eq!(
        status_and_content(get().bearer_auth("ada").send().await.unwrap()).await,
        (200, true)
    );
    let invalid = meanwhile.api.post("/api/v1/session").json(&json!({})).send().await.unwrap();
    assert_eq!(invalid.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
