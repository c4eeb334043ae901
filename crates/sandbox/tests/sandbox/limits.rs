use std::time::{Duration, SystemTime};

use sandbox::{ChannelProfile, Options, SAMPLE_CHANNELS, Sandbox};
use serde_json::Value;

use crate::client::{TestClient, retry_after};

/// Speed at which a second takes a quarter of an hour.
const STANDSTILL: f64 = 0.001;

#[tokio::test]
async fn requests_over_the_limit_are_rejected_at_once_and_counted() {
    for channel in ["acme", "bazaar", "corner"] {
        let client = TestClient::start(STANDSTILL).await;
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(client.post_empty_product(channel).await.status().as_u16());
        }
        assert_eq!(statuses, [422, 422, 429, 429, 429]);
        let requests = client.service_record(channel).requests;
        let over: Vec<_> = requests.iter().map(|request| request.over_limit).collect();
        assert_eq!(over, [false, false, true, true, true]);
        assert!(requests.iter().all(|request| !request.during_cooldown));
    }
}

#[tokio::test]
async fn find_request_counts_against_the_limit() {
    let client = TestClient::start(STANDSTILL).await;
    for _ in 0..2 {
        client.post_empty_product("corner").await;
    }
    let url = format!("{}/channels/corner/products?sku=A", client.sandbox.base_url());
    assert_eq!(client.http.get(url).send().await.unwrap().status(), 429);
    let requests = client.service_record("corner").requests;
    assert_eq!(&*requests[2].action, "GET");
    assert!(requests[2].over_limit);
}

#[tokio::test]
async fn retry_after_in_seconds_or_as_a_date_names_when_a_token_is_available() {
    for (channel, wait) in [("acme", 500.0), ("corner", 500.0), ("bazaar", 625.0)] {
        let client = TestClient::start(STANDSTILL).await;
        let before = SystemTime::now();
        for _ in 0..2 {
            client.post_empty_product(channel).await;
        }
        let after_two = SystemTime::now();
        let rejected = client.post_empty_product(channel).await;
        let value = retry_after(&rejected);
        let named = match channel {
            "bazaar" => httpdate::parse_http_date(value).unwrap(),
            _ => after_two + Duration::from_secs(value.parse().unwrap()),
        };
        let token_at = before + Duration::from_secs_f64(wait);
        assert!(named >= token_at, "{channel}: {value}");
        let latest = SystemTime::now() + Duration::from_secs_f64(wait + 2.0);
        assert!(named <= latest, "{channel}: {value}");
    }
}

#[tokio::test]
async fn injected_429_starts_a_cooldown_of_its_retry_after() {
    for channel in ["acme", "bazaar", "corner"] {
        let client = TestClient::start(100.0).await;
        let rejected = client.create_product(channel, None, "A-SBX-429ONCE").await;
        assert_eq!(rejected.status(), 429);
        let wait = match channel {
            "bazaar" => {
                let date = httpdate::parse_http_date(retry_after(&rejected)).unwrap();
                date.duration_since(SystemTime::now()).unwrap_or_default()
            }
            _ => {
                assert_eq!(retry_after(&rejected), "1");
                Duration::from_secs(1)
            }
        };
        if channel != "bazaar" {
            assert_eq!(client.create_product(channel, None, "B").await.status(), 429);
            let requests = client.service_record(channel).requests;
            let flags: Vec<_> =
                requests.iter().map(|it| (it.over_limit, it.during_cooldown)).collect();
            assert_eq!(flags, [(false, false), (false, true)]);
        }
        tokio::time::sleep(wait).await;
        assert_eq!(client.create_product(channel, None, "A-SBX-429ONCE").await.status(), 201);
        let requests = client.service_record(channel).requests;
        assert!(!requests.last().unwrap().during_cooldown);
    }
}

#[tokio::test]
async fn summary_counts_requests() {
    let client = TestClient::start(STANDSTILL).await;
    for _ in 0..3 {
        client.post_empty_product("acme").await;
    }
    let summary = client.get("/ledger/summary").await;
    assert_eq!(summary["acme"]["requests"], 3);
    assert_eq!(summary["acme"]["over_limit"], 1);
    assert_eq!(summary["acme"]["during_cooldown"], 0);
    assert_eq!(summary["bazaar"]["requests"], 0);
    assert_eq!(summary["bazaar"].get("observed_rate"), Some(&Value::Null));
}

#[tokio::test]
async fn only_requests_after_the_grace_period_count_as_violations() {
    let client = TestClient::start(STANDSTILL).await;
    client.create_product("corner", None, "A-SBX-429ONCE").await;
    let cooldown_age_ms = |client: &TestClient| {
        let request = client.service_record("corner").requests.pop().unwrap();
        request.cooldown_age_ms.unwrap()
    };
    let mut violations = 0;
    while violations == 0 {
        client.post_empty_product("corner").await;
        violations += usize::from(cooldown_age_ms(&client) >= 100);
        assert_eq!(client.sandbox.summary()["corner"].during_cooldown, violations);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn answers_of_a_channel_with_rate_limit_headers_say_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let metered = ChannelProfile { rate_limit_headers: true, ..SAMPLE_CHANNELS[0] };
    let sandbox = Sandbox::start(Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        ledger: folder.path().join("ledger.jsonl"),
        speed: 1.0,
        seed: 1,
        faults: false,
        latency: None,
        channels: vec![metered],
    });
    let sandbox = sandbox.await.unwrap();
    tls::install_provider();
    let http = reqwest::Client::new();
    for (status, left) in [(400, "1"), (400, "0"), (429, "0")] {
        let url = format!("{}/products", sandbox.channel_url("acme"));
        let answer = http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["x-ratelimit-limit"], "120");
        assert_eq!(answer.headers()["x-ratelimit-remaining"], left);
    }
}
