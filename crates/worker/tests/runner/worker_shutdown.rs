//! Workers that start, stop and share the work.

use crate::system::{
    BeforeUploadHook, EventLog, InProcessSystem, SystemOptions, attempt_codes, no_hook, wait_until,
};
use contract::state::{JobState, TaskState};
use std::{collections::HashSet, sync::Arc};
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_stopping_worker_finishes_its_calls_and_claims_nothing_new() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let (seen, go) = (EventLog::default(), Arc::new(Semaphore::new(0)));
    let before_upload: BeforeUploadHook = {
        let (seen, go) = (seen.clone(), Arc::clone(&go));
        Arc::new(move |_| {
            let (seen, go) = (seen.clone(), Arc::clone(&go));
            Box::pin(async move {
                seen.push("called");
                go.acquire().await.unwrap().forget();
            })
        })
    };
    let worker = system.spawn_worker("first", &before_upload);
    let skus: Vec<_> = (0..20).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = system.upload_skus(&["corner"], &skus).await;
    wait_until("all prefetch slots taken", async || seen.len() == 8).await;
    let drained = tokio::spawn(worker.drain());
    go.add_permits(skus.len());
    drained.await.unwrap();

    assert_eq!(seen.len(), 8, "the stopping worker claimed more tasks");
    let tasks = system.tasks(job).await;
    let count = |state| tasks.iter().filter(|task| task.task.state == state).count();
    assert_eq!((count(TaskState::Succeeded), count(TaskState::Queued)), (8, 12));
    assert!(tasks.iter().all(|task| task.attempts.len() <= 1));

    let _second = system.spawn_worker("second", &no_hook());
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    for task in system.tasks(job).await {
        assert_eq!(attempt_codes(&task), ["created"], "returned tasks cost no attempt");
        assert_eq!(system.effects("corner", &task.task.sku).len(), 1);
    }
}

#[tokio::test]
async fn two_workers_share_the_work_without_a_double_effect() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let _workers = ["left", "right"].map(|name| system.spawn_worker(name, &no_hook()));
    let skus: Vec<_> = (0..60).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = system.upload_skus(&["acme", "corner"], &skus).await;
    let job_at_end = system.wait_for_end(job).await;
    assert_eq!((job_at_end.state, job_at_end.counts.succeeded), (JobState::Succeeded, 120));
    let tasks = system.tasks(job).await;
    let names: HashSet<_> =
        tasks.iter().flat_map(|task| &task.attempts).map(|a| a.worker.as_str()).collect();
    assert_eq!(names, HashSet::from(["left", "right"]), "both workers take part");
    for (channel, summary) in system.sandbox.summary() {
        assert_eq!(summary.duplicate_effects, 0, "{channel}");
        let expected = if matches!(channel, "acme" | "corner") { 60 } else { 0 };
        assert_eq!(summary.effects, expected, "{channel}");
    }
}
