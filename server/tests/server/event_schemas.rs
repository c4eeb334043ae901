//! Every message on RabbitMQ follows its published schema, and a program in another language can
//! follow the facts.

use crate::support::BINARY;
use reqwest::StatusCode;
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::Path,
    time::Duration,
};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, ManagedProcess, MessageSchemas, RabbitTap,
    SandboxConfig,
    api::{CHANNEL_COUNT, CHANNELS, product_csv},
    python_command, wait_until,
};
use tokio::time::timeout;

/// Time within which the next message arrives. Those that follow the last one asked for are
/// there long before.
const SILENCE: Duration = Duration::from_secs(60);

/// Everything that the launches below cause for certain.
const EXPECTED: [&str; 15] = [
    "alarm.create.v1",
    "ec2.start.v1",
    "job.accepted.v1",
    "job.cancelling.v1",
    "job.finished.v1",
    "job.paused.v1",
    "job.reopened.v1",
    "job.resumed.v1",
    "notifications.read.v1",
    "product.upload.v1",
    "session.ended.v1",
    "task.created.v1",
    "task.requeued.v1",
    "task.started.v1",
    "task.succeeded.v1",
];

async fn post(api: &ApiClient, path: &str, body: serde_json::Value) {
    let answer = api.post(path).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_on_rabbitmq_follow_their_schemas() {
    let config = ClusterConfig {
        web: 1,
        workers: 1,
        lease_s: 60,
        small_disk: false,
        // With its faults, so that tasks are put back and rejected too.
        sandbox_config: SandboxConfig { speed: 20.0, seed: 1, faults: true },
    };
    let options = ClusterOptions { without_proxies: true, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(Path::new(BINARY), config, options).await.unwrap();
    let uploads = CHANNELS.split(',').map(|id| format!("product.upload.{id}"));
    let kinds = uploads.chain(["ec2.start", "alarm.create"].map(str::to_owned));
    let queues: Vec<_> = kinds.map(|kind| format!("meanwhile.q.{kind}.v1")).collect();
    let mut tap = RabbitTap::start(&cluster.rabbit.url(), &queues).await.unwrap();

    let output = cluster.folder().join("follow_facts.log");
    let mut python = python_command();
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/follow_facts.py"));
    python.arg(cluster.rabbit.url()).stdout(File::create(&output).unwrap());
    let _follower = ManagedProcess::spawn(&mut python).unwrap();
    let followed = || fs::read_to_string(&output).unwrap();
    wait_until("the follower listens", async || followed().contains("following")).await;

    let api = cluster.signed_in_clients().await.unwrap().remove(0);
    let job = api.upload(product_csv(30), "first").await.unwrap().id;
    let path = format!("/api/v1/jobs/{job}");
    post(&api, &format!("{path}/pause"), json!({})).await;
    post(&api, &format!("{path}/resume"), json!({})).await;
    let machines = api.get_json("/api/v1/instances").await.unwrap();
    let stopped =
        machines["items"].as_array().unwrap().iter().filter(|it| it["state"] == "stopped");
    let ids: Vec<_> = stopped.map(|machine| machine["id"].clone()).collect();
    post(&api, "/api/v1/jobs/ec2-starts", json!({ "instance_ids": ids })).await;
    wait_until("the jobs finish", async || {
        let jobs = api.jobs().await.unwrap().items;
        jobs.iter().all(|job| job.counts.open == 0)
    })
    .await;
    let cancelled = api.upload(product_csv(60), "second").await.unwrap().id;
    api.cancel(cancelled).await.unwrap();
    wait_until("the cancelled job ends", async || {
        api.job(cancelled).await.unwrap().counts.open == 0
    })
    .await;
    api.retry_cancelled_tasks(cancelled).await.unwrap();
    post(&api, "/api/v1/notifications/read", json!({ "up_to": 100_000 })).await;
    let ended = api.delete("/api/v1/session").send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);

    let (schemas, mut seen) = (MessageSchemas::published(), BTreeSet::new());
    while !EXPECTED.iter().all(|kind| seen.contains(*kind)) {
        let message = timeout(SILENCE, tap.next()).await;
        let missing = || EXPECTED.iter().filter(|kind| !seen.contains(**kind)).collect::<Vec<_>>();
        let message = message.unwrap_or_else(|_| panic!("never seen: {:?}", missing())).unwrap();
        seen.extend(schemas.check_events(&message).unwrap());
    }

    wait_until("the follower has seen a job finish", async || {
        let finished = format!("of {} succeeded", 30 * CHANNEL_COUNT);
        followed().lines().any(|line| line.contains(&finished))
    })
    .await;
}
