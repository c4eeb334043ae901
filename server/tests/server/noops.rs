//! Tasks that do nothing exist only if the configuration enables them.

use crate::support::start_server;
use reqwest::{Response, StatusCode, header};
use serde_json::json;
use std::time::{Duration, Instant};
use testbed::ServerProcess;

async fn launch_noops(meanwhile: &ServerProcess, count: u32) -> Response {
    let launch = meanwhile.api.post("/api/v1/jobs/noops").header("Idempotency-Key", "k");
    launch.json(&json!({ "count": count })).send().await.unwrap()
}

#[tokio::test]
async fn noops_run_only_where_they_are_enabled() {
    let mut meanwhile = start_server().await;
    assert_eq!(launch_noops(&meanwhile, 3).await.status(), StatusCode::NOT_FOUND);
    assert!(
        meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    meanwhile.kill();
    meanwhile.set_env("MEANWHILE_NOOPS", "true");
    meanwhile.spawn().await.unwrap();
    assert_eq!(launch_noops(&meanwhile, 0).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let launched = launch_noops(&meanwhile, 300).await;
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    let location = launched.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert_eq!(launch_noops(&meanwhile, 300).await.headers()[header::LOCATION], location);
    assert_eq!(launch_noops(&meanwhile, 301).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let start = Instant::now();
    let job = loop {
        let job = meanwhile.api.get_json(&location).await.unwrap();
        if job["state"] != "running" {
            break job;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the job has not finished: {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&job["state"], &job["succeeded"]), (&json!("succeeded"), &json!(300)));
    let jobs = meanwhile.api.get_json("/api/v1/jobs?kind=noops").await.unwrap();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1);
}
