//! List endpoints: pagination by cursor, filters, and errors for invalid
//! parameters.

use crate::{seed, support::new_server};
use engine::store::JobControl;
use reqwest::{StatusCode, header};
use serde_json::Value;
use testbed::{ServerProcess, api::ApiRequest};

/// Starts a server to which Ada is signed in. Her first job has two channels: of
/// its four items one failed, one needs review and two are queued. Her second
/// job is queued.
async fn start_server_with_two_jobs() -> (ServerProcess, String) {
    let mut meanwhile = new_server();
    let store = seed::open_store(&meanwhile).await;
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let first = store
        .tasks
        .accept(seed::new_upload_job(ada, "100%_Oak", &["acme", "bazaar"]))
        .await
        .unwrap()
        .job;
    seed::finish_two_tasks(&store, "no").await;
    let second =
        store.tasks.accept(seed::new_upload_job(ada, "lamp", &["acme"])).await.unwrap().job;
    for job in [&first, &second] {
        store.tasks.control_job(ada, job.id, JobControl::Pause).await.unwrap();
    }
    seed::create_session(&store, ada, "ada").await;
    meanwhile.api.cookie = seed::session_cookie("ada");
    meanwhile.spawn().await.unwrap();
    let job = format!("/api/v1/jobs/{}", first.id);
    (meanwhile, job)
}

async fn item_fields(meanwhile: &ServerProcess, path: &str, name: &str) -> Vec<String> {
    let page = meanwhile.api.get_json(path).await.unwrap();
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{path}: {page}"));
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tasks_are_filtered_by_state_channel_and_search() {
    let (meanwhile, job) = start_server_with_two_jobs().await;
    for (query, expected) in [
        ("state=failed", vec!["100%_Oak-0"]),
        ("state=needs_review", vec!["100%_Oak-1"]),
        ("state=queued", vec!["100%_Oak-0", "100%_Oak-1"]),
        ("state=queued&channel=acme", vec![]),
        ("channel=bazaar&q=oAK-1", vec!["100%_Oak-1"]),
        ("channel=bazaar&q=100%25_", vec!["100%_Oak-0", "100%_Oak-1"]),
        ("channel=bazaar&q=1%250", vec![]),
        ("channel=bazaar&q=10_%25", vec![]),
        ("channel=acme&q=%5C", vec![]),
    ] {
        let found = item_fields(&meanwhile, &format!("{job}/tasks?{query}"), "sku").await;
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn pagination_has_no_gaps_or_duplicates() {
    let (meanwhile, job) = start_server_with_two_jobs().await;
    for (list, count) in [(format!("{job}/tasks?limit=1"), 4), ("/api/v1/jobs?limit=1".into(), 2)] {
        let mut seen = Vec::new();
        let mut path = list.clone();
        loop {
            seen.extend(item_fields(&meanwhile, &path, "id").await);
            match meanwhile.api.get_json(&path).await.unwrap()["next"].as_str() {
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
async fn jobs_are_filtered_by_state_and_kind() {
    let (meanwhile, _) = start_server_with_two_jobs().await;
    for (query, expected) in [
        ("", vec!["lamp.csv", "100%_Oak.csv"]),
        ("?state=running&kind=product_uploads", vec!["lamp.csv", "100%_Oak.csv"]),
        ("?state=failed", vec![]),
        ("?kind=ec2_starts", vec![]),
    ] {
        let found = item_fields(&meanwhile, &format!("/api/v1/jobs{query}"), "title").await;
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn invalid_parameters_are_named_in_a_problem_document() {
    let (meanwhile, job) = start_server_with_two_jobs().await;
    let problem_of = async |request: ApiRequest| -> (StatusCode, String) {
        let response = request.header(header::COOKIE, &meanwhile.api.cookie).send().await.unwrap();
        let status = response.status();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        (status, problem["detail"].as_str().unwrap().to_owned())
    };
    for (path, words) in [
        (format!("{job}/tasks?state=faild"), ["`state`", "needs_review"]),
        (format!("{job}/tasks?channel=corner"), ["`channel`", "acme, bazaar"]),
        (format!("{job}/tasks?cursor=7"), ["`cursor`", "`next`"]),
        (format!("{job}/tasks?sate=failed"), ["`sate`", "state"]),
        (format!("{job}/journal?after=x"), ["`after`", "number"]),
        ("/api/v1/jobs?limit=500".into(), ["`limit`", "200"]),
        ("/api/v1/jobs?kind=uploads".into(), ["`kind`", "product_uploads"]),
    ] {
        let (status, detail) =
            problem_of(meanwhile.api.client.get(meanwhile.api.url(&path)).into()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(words.iter().all(|word| detail.contains(word)), "{path}: {detail}");
    }
    let retry = meanwhile.api.url(&format!("{job}/retry"));
    for (body, words) in
        [(r#"{"tasks":7}"#, "tasks"), (r#"{"chanel":"acme"}"#, "chanel"), ("{", "JSON")]
    {
        let request =
            meanwhile.api.client.post(&retry).header(header::ORIGIN, meanwhile.api.url(""));
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let (status, detail) = problem_of(request.into()).await;
        assert!(status.is_client_error() && detail.contains(words), "{body}: {status} {detail}");
    }
}

#[tokio::test]
async fn unknown_api_paths_are_not_found() {
    let (meanwhile, _) = start_server_with_two_jobs().await;
    for path in ["/api/v1/nowhere", "/api/v1/jobs/x/y/z", "/api/v1/"] {
        let get = meanwhile.api.client.get(meanwhile.api.url(path));
        for request in [get.into(), meanwhile.api.post(path)] {
            let request = request.header(header::COOKIE, &meanwhile.api.cookie);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["status"], 404, "{path}");
        }
    }
}
