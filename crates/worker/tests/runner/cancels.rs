//! Jobs that are cancelled while a call is on its way: `cancelled` says that it had no effect.

use crate::system::{
    BeforeUploadHook, EventLog, InProcessSystem, SystemOptions, attempt_codes, no_hook, wait_until,
};
use contract::{
    api::RetryRequest,
    state::{Effect, JobState, TaskState},
};
use engine::{
    clock::ManualClock,
    store::{DEFAULT_LEASE_MS, JobControl},
};
use std::sync::Arc;

const CHANNELS: [&str; 4] = ["acme", "bazaar", "corner", "depot"];

#[tokio::test]
async fn a_cancel_finds_what_was_uploaded_without_a_response() {
    // The next attempt comes in weeks: only the cancel makes it due. The clock runs, so that
    // an attempt which gets no permit in time on a busy machine is tried again.
    let backoff_divisor = 1.0 / 3_600_000.0;
    let system =
        InProcessSystem::new(SystemOptions { backoff_divisor, ..SystemOptions::default() }).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let job = system.upload_skus(&CHANNELS, &["A-SBX-DROPONCE"]).await;
    wait_until("the lost responses", async || {
        let tasks = system.tasks(job).await;
        tasks.iter().all(|task| attempt_codes(task) == ["connection_dropped"])
    })
    .await;
    system.engine.control_job(system.user, job, JobControl::Cancel).await.unwrap();
    let ended = system.wait_for_end(job).await;
    assert_eq!((ended.counts.cancelled, ended.counts.created), (0, 4));
    for task in system.tasks(job).await {
        let channel = task.task.channel.clone().unwrap();
        assert_eq!(
            (task.task.state, task.task.effect),
            (TaskState::Succeeded, Some(Effect::Created))
        );
        assert_eq!(attempt_codes(&task), ["connection_dropped", "created"], "{channel}");
        assert_eq!(system.effects(&channel, "A-SBX-DROPONCE").len(), 1, "{channel}");
        assert_eq!(system.actions(&channel), expected_actions(&channel), "{channel}");
    }
}

/// Returns the requests of an upload and its reconciliation: Corner, which knows no
/// duplicates, and Depot are asked before a call.
fn expected_actions(channel: &str) -> &'static [&'static str] {
    match channel {
        "corner" => &["GET", "POST", "GET"],
        "depot" => &["Find", "Set", "Find"],
        _ => &["POST", "GET"],
    }
}

/// Returns the request that looks a product up.
fn look_up(channel: &str) -> &'static str {
    if channel == "depot" { "Find" } else { "GET" }
}

#[tokio::test]
async fn a_cancelled_item_that_was_not_uploaded_is_sent_to_nobody() {
    let clock = ManualClock::at(1_000_000_000);
    let system =
        InProcessSystem::new(SystemOptions { clock: clock.clone(), ..SystemOptions::default() })
            .await;
    let seen = EventLog::default();
    let before_upload: BeforeUploadHook = {
        let seen = seen.clone();
        Arc::new(move |claimed| {
            let (hangs, seen) =
                (!claimed.outcome_unknown() && seen.len() < CHANNELS.len(), seen.clone());
            Box::pin(async move {
                if hangs {
                    seen.push("hangs");
                    std::future::pending::<()>().await;
                }
            })
        })
    };
    let _worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&CHANNELS, &["LAMP"]).await;
    wait_until("a call to each channel", async || seen.len() == CHANNELS.len()).await;
    system.engine.control_job(system.user, job, JobControl::Cancel).await.unwrap();
    clock.advance(DEFAULT_LEASE_MS);
    system.store.tasks.reap_expired_leases(false).await.unwrap();
    wait_until("a look-up at each channel", async || {
        CHANNELS.iter().all(|channel| system.actions(channel) == [look_up(channel)])
    })
    .await;
    wait_until("the end of the look-ups", async || {
        system.query("SELECT id FROM tasks WHERE state = 'running'").await.is_empty()
    })
    .await;
    assert_eq!(system.job(job).await.counts.cancelled, 0, "a call could still be on its way");
    clock.advance(DEFAULT_LEASE_MS);
    system.wait_for_end(job).await;
    let ended = system.job(job).await;
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Cancelled, 4));
    for channel in CHANNELS {
        let look_up = look_up(channel);
        assert_eq!(system.actions(channel), [look_up; 2], "{channel} was asked twice");
    }

    let retry = RetryRequest {
        state: Some(contract::api::RetryState::Cancelled),
        ..RetryRequest::default()
    };
    system.engine.retry_tasks(system.user, job, &retry).await.unwrap();
    assert_eq!(system.wait_for_end(job).await.counts.created, 4);
}
