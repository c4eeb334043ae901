//! Workers that come, go and share.

use crate::world::{Script, Seen, Setup, World, codes, nothing, until};
use contract::state::{JobState, TaskState};
use std::{collections::HashSet, sync::Arc};
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_worker_that_stops_finishes_its_calls_and_claims_no_other() {
    let world = World::new(Setup::default()).await;
    let (seen, go) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let script: Script = {
        let (seen, go) = (seen.clone(), Arc::clone(&go));
        Arc::new(move |_| {
            let (seen, go) = (seen.clone(), Arc::clone(&go));
            Box::pin(async move {
                seen.push("called");
                go.acquire().await.unwrap().forget();
            })
        })
    };
    let worker = world.work("first", &script);
    let skus: Vec<_> = (0..20).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = world.upload(&["corner"], &skus).await;
    until("all places taken", async || seen.len() == 8).await;
    let drained = tokio::spawn(worker.drain());
    go.add_permits(skus.len());
    drained.await.unwrap();

    assert_eq!(seen.len(), 8, "it claimed on");
    let tasks = world.tasks(job).await;
    let count = |state| tasks.iter().filter(|task| task.task.state == state).count();
    assert_eq!((count(TaskState::Succeeded), count(TaskState::Queued)), (8, 12));
    assert!(tasks.iter().all(|task| task.attempts.len() <= 1));

    let _second = world.work("second", &nothing());
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    for task in world.tasks(job).await {
        assert_eq!(codes(&task), ["created"], "what it gave back cost nothing");
        assert_eq!(world.effects("corner", &task.task.sku).len(), 1);
    }
}

#[tokio::test]
async fn two_workers_share_the_work_without_a_double_effect() {
    let world = World::new(Setup::default()).await;
    let _workers = ["left", "right"].map(|name| world.work(name, &nothing()));
    let skus: Vec<_> = (0..60).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = world.upload(&["acme", "corner"], &skus).await;
    let ended = world.end_of(job).await;
    assert_eq!((ended.state, ended.counts.succeeded), (JobState::Succeeded, 120));
    let tasks = world.tasks(job).await;
    let names: HashSet<_> =
        tasks.iter().flat_map(|task| &task.attempts).map(|a| a.worker.as_str()).collect();
    assert_eq!(names, HashSet::from(["left", "right"]), "one did it all");
    for (channel, summary) in world.sandbox.summary() {
        assert_eq!(summary.duplicate_effects, 0, "{channel}");
        let expected = if matches!(channel, "acme" | "corner") { 60 } else { 0 };
        assert_eq!(summary.effects, expected, "{channel}");
    }
}
