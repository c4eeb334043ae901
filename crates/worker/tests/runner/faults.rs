//! Calls that fail, each in its way.

use crate::world::{PANICS_LATE, Script, Setup, World, codes, nothing};
use contract::{
    fact::FactKind,
    state::{JobState, TaskState},
};
use std::sync::Arc;

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_takes_nobody_with_it() {
    let world = World::new(Setup::default()).await;
    let script: Script = Arc::new(|claimed| {
        let panics = claimed.sku == "PANICS" && claimed.attempt == 1;
        Box::pin(async move { assert!(!panics, "a bug of ours") })
    });
    let _worker = world.work("w", &script);
    let job = world.upload(&["acme"], &["PANICS", "FINE"]).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    let tasks = world.tasks(job).await;
    assert_eq!(codes(&tasks[0]), ["panic", "created"]);
    assert_eq!(tasks[0].attempts[1].number, 2, "it was a failed attempt");
    assert_eq!(codes(&tasks[1]), ["created"]);
}

#[tokio::test]
async fn who_always_panics_fails_with_the_reason_and_can_be_retried_once_it_is_mended() {
    let world = World::new(Setup { hurry: 10_000.0, ..Setup::default() }).await;
    let script: Script = Arc::new(|claimed| {
        let panics = claimed.sku == "PANICS";
        let words = "no such colour: mauve ".repeat(20);
        Box::pin(async move { assert!(!panics, "{words}") })
    });
    let worker = world.work("w", &script);
    // Without idempotency keys an unsure task would be reconciled, or need a person.
    let job = world.upload(&["corner"], &["PANICS", "FINE"]).await;
    let ended = world.end_of(job).await;
    assert_eq!((ended.state, ended.counts.failed), (JobState::PartlyFailed, 1));
    let tasks = world.tasks(job).await;
    assert_eq!((tasks[0].task.state, tasks[0].task.unsure), (TaskState::Failed, false));
    assert_eq!(codes(&tasks[0]), ["panic"; 6]);
    let start = "Our own code failed at this item: no such colour: mauve no such";
    for attempt in &tasks[0].attempts {
        let message = &attempt.outcome.message;
        assert!(message.starts_with(start) && message.len() < 250, "{message}");
    }
    assert_eq!(codes(&tasks[1]), ["created"]);

    worker.drain().await;
    let _mended = world.work("mended", &nothing());
    world.engine.retry(world.user, job, &contract::api::RetryWhich::default()).await.unwrap();
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    let tasks = world.tasks(job).await;
    let all = ["panic", "panic", "panic", "panic", "panic", "panic", "created"];
    assert_eq!(codes(&tasks[0]), all);
    assert_eq!(world.effects("corner", "PANICS").len(), 1);
}

#[tokio::test]
async fn a_panic_behind_a_call_leaves_a_doubt() {
    let world = World::new(Setup::default()).await;
    let _worker = world.work("w", &nothing());
    let job = world.upload(&["corner"], &[PANICS_LATE]).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    assert_eq!(codes(&world.tasks(job).await[0]), ["panic", "found"]);
    assert_eq!(world.effects("corner", PANICS_LATE).len(), 1);
    let facts = world.store.job_journal(world.user, job, 0, 100).await.unwrap();
    let requeued = facts.iter().find(|fact| fact.kind == FactKind::TaskRequeued).unwrap();
    assert!(requeued.data.task.as_ref().unwrap().unsure, "it was asked for, and no answer kept");
}

#[tokio::test]
async fn a_panic_after_a_lost_answer_forgets_no_doubt() {
    let world = World::new(Setup::default()).await;
    let script: Script = Arc::new(|claimed| {
        let panics = claimed.attempt == 2;
        Box::pin(async move { assert!(!panics, "a bug of ours") })
    });
    let _worker = world.work("w", &script);
    let job = world.upload(&["corner"], &["A-SBX-DROPONCE"]).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    let tasks = world.tasks(job).await;
    assert_eq!(codes(&tasks[0]), ["dropped", "panic", "found"], "it was asked first");
    assert_eq!(world.effects("corner", "A-SBX-DROPONCE").len(), 1);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_stopped_and_its_place_is_free() {
    let world = World::new(Setup { lease_ms: 3_000, ..Setup::default() }).await;
    // As many as there are places: were one not free again, nobody else would come in.
    let script: Script = Arc::new(|claimed| {
        let hangs = claimed.sku.starts_with("HANGS") && claimed.attempt == 1;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        })
    });
    let _worker = world.work("w", &script);
    let hanging: Vec<_> = (0..8).map(|n| format!("HANGS-{n}")).collect();
    let mut skus: Vec<_> = hanging.iter().map(String::as_str).collect();
    skus.push("FINE");
    let job = world.upload(&["corner"], &skus).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    for task in &world.tasks(job).await[..8] {
        let codes = codes(task);
        // A slow machine may stop an honest call too; nothing but that.
        assert_eq!((codes.first(), codes.last()), (Some(&"timeout"), Some(&"created")));
        assert!(codes[..codes.len() - 1].iter().all(|code| *code == "timeout"), "{codes:?}");
    }
}

#[tokio::test]
async fn spent_attempts_are_a_failure_that_keeps_them_all_and_can_be_retried() {
    let world = World::new(Setup { hurry: 10_000.0, ..Setup::default() }).await;
    let _worker = world.work("w", &nothing());
    let job = world.upload(&["bazaar"], &["A-SBX-500ALWAYS", "FINE", "B-SBX-REJECT"]).await;
    let ended = world.end_of(job).await;
    assert_eq!((ended.state, ended.counts.failed), (JobState::PartlyFailed, 2));
    let tasks = world.tasks(job).await;
    assert_eq!(codes(&tasks[0]), ["http_500"; 6]);
    let numbers: Vec<_> = tasks[0].attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(tasks[0].task.state, TaskState::Failed);
    assert_eq!(codes(&tasks[1]), ["created"]);
    assert_eq!(codes(&tasks[2]), ["rejected"], "another try would end the same");

    world.engine.retry(world.user, job, &contract::api::RetryWhich::default()).await.unwrap();
    world.end_of(job).await;
    let tasks = world.tasks(job).await;
    assert_eq!((tasks[0].attempts.len(), tasks[2].attempts.len()), (12, 2));
}

#[tokio::test]
async fn a_storm_of_429_spends_no_attempt_and_is_obeyed() {
    let world = World::new(Setup::default()).await;
    let _worker = world.work("w", &nothing());
    let skus: Vec<_> = (0..12)
        .map(|n| if n % 4 == 0 { format!("{n}-SBX-429ONCE") } else { format!("{n}-FINE") })
        .collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = world.upload(&["acme", "bazaar"], &skus).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    for task in world.tasks(job).await {
        let codes = codes(&task);
        assert!(task.attempts.iter().all(|attempt| attempt.number == 1), "{task:?}");
        assert_eq!(task.task.attempt, 1, "a 429 costs none");
        let (last, closed) = codes.split_last().unwrap();
        assert!(*last == "created" && closed.iter().all(|code| *code == "http_429"), "{codes:?}");
        assert!(!closed.is_empty() || !task.task.sku.contains("429"), "{codes:?}");
    }
    for channel in ["acme", "bazaar"] {
        let requests = world.sandbox.ledger().remove(channel).unwrap().requests;
        // Those that were on their way when the channel closed, and no other.
        let late = requests.iter().filter_map(|request| request.closed_for_ms).max();
        assert!(late.is_none_or(|ms| ms < 500), "{channel}: called {late:?} ms after it closed");
    }
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_reconciled_to_one_effect() {
    let world = World::new(Setup::default()).await;
    let _worker = world.work("w", &nothing());
    let channels = ["acme", "bazaar", "corner"];
    let skus = ["A-SBX-DROPONCE", "B", "C-SBX-DROPONCE"];
    let job = world.upload(&channels, &skus).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    for task in world.tasks(job).await {
        let channel = task.task.channel.clone().unwrap();
        let lost = task.task.sku.contains("DROPONCE");
        let expected: &[&str] = match (lost, channel.as_str()) {
            (false, _) => &["created"],
            // The same key once more is the question, and its answer.
            (true, "acme") => &["dropped", "created"],
            (true, _) => &["dropped", "found"],
        };
        assert_eq!(codes(&task), expected, "{channel}");
        assert_eq!(world.effects(&channel, &task.task.sku).len(), 1);
        assert!(task.task.outcome.unwrap().reference.is_some());
    }
}
