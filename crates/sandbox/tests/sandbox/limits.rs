use std::time::{Duration, SystemTime};

use crate::client::{Client, retry_after};

/// Seconds at speed 1 take a quarter of an hour.
const STANDSTILL: f64 = 0.001;

#[tokio::test]
async fn what_comes_over_the_limit_is_refused_at_once_and_counted() {
    for channel in ["acme", "bazaar", "corner"] {
        let client = Client::start(STANDSTILL).await;
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(client.make_nothing(channel).await.status().as_u16());
        }
        assert_eq!(statuses, [422, 422, 429, 429, 429]);
        let requests = client.record(channel).requests;
        let over: Vec<_> = requests.iter().map(|request| request.over).collect();
        assert_eq!(over, [false, false, true, true, true]);
        assert!(requests.iter().all(|request| !request.closed));
    }
}

#[tokio::test]
async fn a_look_up_counts_like_any_request() {
    let client = Client::start(STANDSTILL).await;
    for _ in 0..2 {
        client.make_nothing("corner").await;
    }
    let url = format!("{}/channels/corner/products?sku=A", client.sandbox.base_url());
    assert_eq!(client.http.get(url).send().await.unwrap().status(), 429);
    let requests = client.record("corner").requests;
    assert_eq!(&*requests[2].action, "GET");
    assert!(requests[2].over);
}

#[tokio::test]
async fn retry_after_is_in_seconds_or_a_date_and_says_when_a_token_is_there() {
    for (channel, wait) in [("acme", 500.0), ("corner", 500.0), ("bazaar", 625.0)] {
        let client = Client::start(STANDSTILL).await;
        let before = SystemTime::now();
        for _ in 0..2 {
            client.make_nothing(channel).await;
        }
        let after_two = SystemTime::now();
        let refused = client.make_nothing(channel).await;
        let value = retry_after(&refused);
        let named = match channel {
            "bazaar" => httpdate::parse_http_date(value).unwrap(),
            _ => after_two + Duration::from_secs(value.parse().unwrap()),
        };
        let token = before + Duration::from_secs_f64(wait);
        assert!(named >= token, "{channel}: {value}");
        let latest = SystemTime::now() + Duration::from_secs_f64(wait + 2.0);
        assert!(named <= latest, "{channel}: {value}");
    }
}

#[tokio::test]
async fn a_429_out_of_the_blue_closes_the_channel_for_its_retry_after() {
    for channel in ["acme", "bazaar", "corner"] {
        let client = Client::start(100.0).await;
        let refused = client.make(channel, None, "A-SBX-429ONCE").await;
        assert_eq!(refused.status(), 429);
        let wait = match channel {
            "bazaar" => {
                let date = httpdate::parse_http_date(retry_after(&refused)).unwrap();
                date.duration_since(SystemTime::now()).unwrap_or_default()
            }
            _ => {
                assert_eq!(retry_after(&refused), "1");
                Duration::from_secs(1)
            }
        };
        if channel != "bazaar" {
            assert_eq!(client.make(channel, None, "B").await.status(), 429);
            let requests = client.record(channel).requests;
            let facts: Vec<_> = requests.iter().map(|it| (it.over, it.closed)).collect();
            assert_eq!(facts, [(false, false), (false, true)]);
        }
        tokio::time::sleep(wait).await;
        assert_eq!(client.make(channel, None, "A-SBX-429ONCE").await.status(), 201);
        let requests = client.record(channel).requests;
        assert!(!requests.last().unwrap().closed);
    }
}

#[tokio::test]
async fn the_summary_counts() {
    let client = Client::start(STANDSTILL).await;
    for _ in 0..3 {
        client.make_nothing("acme").await;
    }
    let summary = client.get("/ledger/summary").await;
    assert_eq!(summary["acme"]["requests"], 3);
    assert_eq!(summary["acme"]["over"], 1);
    assert_eq!(summary["acme"]["while_closed"], 0);
    assert_eq!(summary["bazaar"]["requests"], 0);
    assert!(summary["bazaar"]["rate_used"].is_null());
}

#[tokio::test]
async fn only_a_client_that_could_know_better_counts_as_disobedient() {
    let client = Client::start(STANDSTILL).await;
    client.make("corner", None, "A-SBX-429ONCE").await;
    let closed = |client: &Client| {
        let request = client.record("corner").requests.pop().unwrap();
        request.closed_for_ms.unwrap()
    };
    let mut disobedient = 0;
    while disobedient == 0 {
        client.make_nothing("corner").await;
        disobedient += usize::from(closed(&client) >= 100);
        assert_eq!(client.sandbox.summary()["corner"].while_closed, disobedient);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
