//! Calls that fail in different ways.

use crate::system::{
    BeforeUploadHook, InProcessSystem, PANICS_AFTER_UPLOAD, SystemOptions, attempt_codes, no_hook,
};
use contract::{
    fact::FactKind,
    state::{JobState, TaskState},
};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_does_not_affect_other_tasks() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let before_upload: BeforeUploadHook = Arc::new(|claimed| {
        let panics = claimed.sku == "PANICS" && claimed.attempt == 1;
        Box::pin(async move { assert!(!panics, "a bug of ours") })
    });
    let _worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&["acme"], &["PANICS", "FINE"]).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    let tasks = system.tasks(job).await;
    assert_eq!(attempt_codes(&tasks[0]), ["panic", "created"]);
    assert_eq!(tasks[0].attempts[1].number, 2, "it was a failed attempt");
    assert_eq!(attempt_codes(&tasks[1]), ["created"]);
}

#[tokio::test]
async fn a_handler_that_always_panics_fails_the_task_which_can_be_retried_after_a_fix() {
    let system = InProcessSystem::new(SystemOptions {
        backoff_divisor: 10_000.0,
        ..SystemOptions::default()
    })
    .await;
    let before_upload: BeforeUploadHook = Arc::new(|claimed| {
        let panics = claimed.sku == "PANICS";
        let panic_text = "no such colour: mauve ".repeat(20);
        Box::pin(async move { assert!(!panics, "{panic_text}") })
    });
    let worker = system.spawn_worker("w", &before_upload);
    // Without idempotency keys, a task whose outcome is unknown would be reconciled or
    // need review.
    let job = system.upload_skus(&["corner"], &["PANICS", "FINE"]).await;
    let job_at_end = system.wait_for_end(job).await;
    assert_eq!((job_at_end.state, job_at_end.counts.failed), (JobState::PartlyFailed, 1));
    let tasks = system.tasks(job).await;
    assert_eq!((tasks[0].task.state, tasks[0].task.outcome_unknown), (TaskState::Failed, false));
    assert_eq!(attempt_codes(&tasks[0]), ["panic"; 6]);
    let start =
        "An internal error occurred while processing this item: no such colour: mauve no such";
    for attempt in &tasks[0].attempts {
        let message = &attempt.outcome.message;
        assert!(message.starts_with(start) && message.len() < 270, "{message}");
    }
    assert_eq!(attempt_codes(&tasks[1]), ["created"]);

    worker.drain().await;
    let _fixed_worker = system.spawn_worker("fixed", &no_hook());
    system
        .engine
        .retry_tasks(system.user, job, &contract::api::RetryRequest::default())
        .await
        .unwrap();
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    let tasks = system.tasks(job).await;
    let all = ["panic", "panic", "panic", "panic", "panic", "panic", "created"];
    assert_eq!(attempt_codes(&tasks[0]), all);
    assert_eq!(system.effects("corner", "PANICS").len(), 1);
}

#[tokio::test]
async fn a_panic_after_a_call_leaves_the_outcome_unknown() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = system.upload_skus(&["corner"], &[PANICS_AFTER_UPLOAD]).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    assert_eq!(attempt_codes(&system.tasks(job).await[0]), ["panic", "created"]);
    assert_eq!(system.effects("corner", PANICS_AFTER_UPLOAD).len(), 1);
    let facts = system.store.journal.job_journal(system.user, job, 0, 100).await.unwrap();
    let requeued = facts.iter().find(|fact| fact.kind == FactKind::TaskRequeued).unwrap();
    assert!(
        requeued.data.task.as_ref().unwrap().outcome_unknown,
        "its product may have been uploaded"
    );
}

#[tokio::test]
async fn a_panic_after_a_lost_response_keeps_the_outcome_unknown() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let before_upload: BeforeUploadHook = Arc::new(|claimed| {
        let panics = claimed.attempt == 2;
        Box::pin(async move { assert!(!panics, "a bug of ours") })
    });
    let _worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&["corner"], &["A-SBX-DROPONCE"]).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    let tasks = system.tasks(job).await;
    assert_eq!(
        attempt_codes(&tasks[0]),
        ["connection_dropped", "panic", "created"],
        "it was reconciled first"
    );
    assert_eq!(system.effects("corner", "A-SBX-DROPONCE").len(), 1);
}

#[tokio::test]
async fn a_handler_that_times_out_releases_its_concurrency_slot() {
    let system = InProcessSystem::new(SystemOptions {
        lease: Duration::from_secs(9),
        ..SystemOptions::default()
    })
    .await;
    // As many calls hang as there are concurrency slots: if one were not released, no
    // other call would start.
    let before_upload: BeforeUploadHook = Arc::new(|claimed| {
        let hangs = claimed.sku.starts_with("HANGS") && claimed.attempt == 1;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        })
    });
    let _worker = system.spawn_worker("w", &before_upload);
    let hanging: Vec<_> = (0..8).map(|n| format!("HANGS-{n}")).collect();
    let mut skus: Vec<_> = hanging.iter().map(String::as_str).collect();
    skus.push("FINE");
    let job = system.upload_skus(&["corner"], &skus).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    for task in &system.tasks(job).await[..8] {
        let codes = attempt_codes(task);
        // On a slow machine another call may time out too, but nothing else may happen.
        assert_eq!((codes.first(), codes.last()), (Some(&"timeout"), Some(&"created")));
        assert!(codes[..codes.len() - 1].iter().all(|code| *code == "timeout"), "{codes:?}");
    }
}

#[tokio::test]
async fn exhausted_attempts_fail_the_task_and_stay_recorded() {
    let system = InProcessSystem::new(SystemOptions {
        backoff_divisor: 10_000.0,
        ..SystemOptions::default()
    })
    .await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = system.upload_skus(&["bazaar"], &["A-SBX-500ALWAYS", "FINE", "B-SBX-REJECT"]).await;
    let job_at_end = system.wait_for_end(job).await;
    let counts = &job_at_end.counts;
    assert_eq!((job_at_end.state, counts.failed, counts.rejected), (JobState::PartlyFailed, 1, 1));
    let tasks = system.tasks(job).await;
    assert_eq!(attempt_codes(&tasks[0]), ["http_500"; 6]);
    let numbers: Vec<_> = tasks[0].attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(tasks[0].task.state, TaskState::Failed);
    assert_eq!(attempt_codes(&tasks[1]), ["created"]);
    assert_eq!(attempt_codes(&tasks[2]), ["rejected"], "a rejection is not retried");

    system
        .engine
        .retry_tasks(system.user, job, &contract::api::RetryRequest::default())
        .await
        .unwrap();
    system.wait_for_end(job).await;
    let tasks = system.tasks(job).await;
    assert_eq!(
        (tasks[0].attempts.len(), tasks[2].attempts.len()),
        (12, 1),
        "a retry would be rejected again"
    );
}

#[tokio::test]
async fn repeated_429_responses_cost_no_attempt_and_are_obeyed() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let skus: Vec<_> = (0..12)
        .map(|n| if n % 4 == 0 { format!("{n}-SBX-429ONCE") } else { format!("{n}-FINE") })
        .collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    let job = system.upload_skus(&["acme", "bazaar"], &skus).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    for task in system.tasks(job).await {
        let codes = attempt_codes(&task);
        assert!(task.attempts.iter().all(|attempt| attempt.number == 1), "{task:?}");
        assert_eq!(task.task.attempt, 1, "a 429 costs none");
        let (last, cooldown_codes) = codes.split_last().unwrap();
        assert!(
            *last == "created" && cooldown_codes.iter().all(|code| *code == "http_429"),
            "{codes:?}"
        );
        assert!(!cooldown_codes.is_empty() || !task.task.sku.contains("429"), "{codes:?}");
    }
    for channel in ["acme", "bazaar"] {
        let requests = system.sandbox.ledger().remove(channel).unwrap().requests;
        // Only requests that were on their way when the cooldown began may come later.
        let late = requests.iter().filter_map(|request| request.cooldown_age_ms).max();
        assert!(
            late.is_none_or(|ms| ms < 500),
            "{channel}: called {late:?} ms after its cooldown began"
        );
    }
}

#[tokio::test]
async fn a_call_with_a_lost_response_is_reconciled_to_one_effect() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let channels = ["acme", "bazaar", "corner"];
    let skus = ["A-SBX-DROPONCE", "B", "C-SBX-DROPONCE"];
    let job = system.upload_skus(&channels, &skus).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    for task in system.tasks(job).await {
        let channel = task.task.channel.clone().unwrap();
        let is_response_lost = task.task.sku.contains("DROPONCE");
        let expected: &[&str] = match (is_response_lost, channel.as_str()) {
            (false, _) => &["created"],
            // Acme repeats its response to the key; the others are asked what they have.
            (true, _) => &["connection_dropped", "created"],
        };
        assert_eq!(attempt_codes(&task), expected, "{channel}");
        assert_eq!(system.effects(&channel, &task.task.sku).len(), 1);
        assert!(task.task.outcome.unwrap().reference.is_some());
    }
}
