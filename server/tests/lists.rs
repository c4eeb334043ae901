//! Lists: pages by cursor, filters, and what a bad parameter is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use engine::store::Control;
use reqwest::{StatusCode, header};
use serde_json::Value;
use support::{Meanwhile, seed};

/// Ada is signed in. Her first job went to two channels: of its four items
/// one failed, one needs a person, two wait. Her second one waits.
async fn start() -> (Meanwhile, String) {
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    let store = seed::store(&meanwhile).await;
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let first = store.accept(seed::upload(ada, "100%_Oak", &["acme", "bazaar"])).await.unwrap().job;
    seed::end(&store, "no").await;
    let second = store.accept(seed::upload(ada, "lamp", &["acme"])).await.unwrap().job;
    for job in [&first, &second] {
        store.control(ada, job.id, Control::Pause).await.unwrap();
    }
    seed::sign_in(&store, ada, "ada").await;
    meanwhile.cookie = seed::cookie("ada");
    meanwhile.spawn(false).await;
    let job = format!("/api/v1/jobs/{}", first.id);
    (meanwhile, job)
}

async fn names(meanwhile: &Meanwhile, path: &str, name: &str) -> Vec<String> {
    let page = meanwhile.get(path).await;
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{path}: {page}"));
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tasks_are_found_by_state_channel_and_words() {
    let (meanwhile, job) = start().await;
    for (query, expected) in [
        ("state=failed", vec!["100%_Oak-0"]),
        ("state=needs_person", vec!["100%_Oak-1"]),
        ("state=queued", vec!["100%_Oak-0", "100%_Oak-1"]),
        ("state=queued&channel=acme", vec![]),
        ("channel=bazaar&q=oAK-1", vec!["100%_Oak-1"]),
        ("channel=bazaar&q=100%25_", vec!["100%_Oak-0", "100%_Oak-1"]),
        ("channel=bazaar&q=1%250", vec![]),
        ("channel=bazaar&q=10_%25", vec![]),
        ("channel=acme&q=%5C", vec![]),
    ] {
        let found = names(&meanwhile, &format!("{job}/tasks?{query}"), "sku").await;
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_hole_or_repeat() {
    let (meanwhile, job) = start().await;
    for (list, count) in [(format!("{job}/tasks?limit=1"), 4), ("/api/v1/jobs?limit=1".into(), 2)] {
        let mut seen = Vec::new();
        let mut path = list.clone();
        loop {
            seen.extend(names(&meanwhile, &path, "id").await);
            match meanwhile.get(&path).await["next"].as_str() {
                Some(next) => path = format!("{list}&cursor={next}"),
                None => break,
            }
        }
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!((seen.len(), once.len()), (count, count), "{list}");
    }
}

#[tokio::test]
async fn jobs_are_found_by_state_and_kind() {
    let (meanwhile, _) = start().await;
    for (query, expected) in [
        ("", vec!["lamp.csv", "100%_Oak.csv"]),
        ("?state=running&kind=product_uploads", vec!["lamp.csv", "100%_Oak.csv"]),
        ("?state=failed", vec![]),
        ("?kind=ec2_starts", vec![]),
    ] {
        let found = names(&meanwhile, &format!("/api/v1/jobs{query}"), "title").await;
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_bad_parameter_or_body_is_named_in_a_problem() {
    let (meanwhile, job) = start().await;
    let told = async |request: reqwest::RequestBuilder| -> (StatusCode, String) {
        let response = request.header(header::COOKIE, &meanwhile.cookie).send().await.unwrap();
        let status = response.status();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        (status, problem["detail"].as_str().unwrap().to_owned())
    };
    for (path, words) in [
        (format!("{job}/tasks?state=faild"), ["`state`", "needs_person"]),
        (format!("{job}/tasks?channel=corner"), ["`channel`", "acme, bazaar"]),
        (format!("{job}/tasks?cursor=7"), ["`cursor`", "`next`"]),
        (format!("{job}/tasks?sate=failed"), ["`sate`", "state"]),
        (format!("{job}/journal?after=x"), ["`after`", "number"]),
        ("/api/v1/jobs?limit=500".into(), ["`limit`", "200"]),
        ("/api/v1/jobs?kind=uploads".into(), ["`kind`", "product_uploads"]),
    ] {
        let (status, detail) = told(meanwhile.client.get(meanwhile.url(&path))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(words.iter().all(|word| detail.contains(word)), "{path}: {detail}");
    }
    let retry = meanwhile.url(&format!("{job}/retry"));
    for (body, words) in
        [(r#"{"tasks":7}"#, "tasks"), (r#"{"chanel":"acme"}"#, "chanel"), ("{", "JSON")]
    {
        let request = meanwhile.client.post(&retry).header(header::ORIGIN, meanwhile.url(""));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let (status, detail) = told(request).await;
        assert!(status.is_client_error() && detail.contains(words), "{body}: {status} {detail}");
    }
}

#[tokio::test]
async fn what_the_api_does_not_have_is_not_found() {
    let (meanwhile, _) = start().await;
    for path in ["/api/v1/nowhere", "/api/v1/jobs/x/y/z", "/api/v1/"] {
        for request in [meanwhile.client.get(meanwhile.url(path)), meanwhile.post(path)] {
            let request = request.header(header::COOKIE, &meanwhile.cookie);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["status"], 404, "{path}");
        }
    }
}
