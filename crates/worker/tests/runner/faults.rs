//! Calls that fail, each in its way.

use crate::world::{Script, Setup, World, codes, nothing};
use contract::state::{JobState, TaskState};
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
