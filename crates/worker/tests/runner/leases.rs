//! Workers that lose their leases.

use crate::system::{
    BeforeUploadHook, EventLog, InProcessSystem, SystemOptions, attempt_codes, wait_until,
};
use contract::{
    api::CooldownReason,
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::{
    clock::{ManualClock, whole_millis},
    store::{DEFAULT_LEASE_MS, MAX_LEASE_LOSSES},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

const START: i64 = 1_000_000_000;

#[tokio::test]
async fn the_late_result_of_a_frozen_worker_is_discarded() {
    let clock = ManualClock::at(START);
    let system =
        InProcessSystem::new(SystemOptions { clock: clock.clone(), ..SystemOptions::default() })
            .await;
    let (seen, thaw) = (EventLog::default(), Arc::new(Semaphore::new(0)));
    let before_upload: BeforeUploadHook = {
        let (seen, thaw) = (seen.clone(), Arc::clone(&thaw));
        Arc::new(move |claimed| {
            let freezes = !claimed.outcome_unknown();
            let (seen, thaw) = (seen.clone(), Arc::clone(&thaw));
            Box::pin(async move {
                if freezes {
                    seen.push("frozen");
                    let _thawed = thaw.acquire().await.unwrap();
                }
            })
        })
    };
    let worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&["acme"], &["LAMP"]).await;
    wait_until("the freeze", async || seen.len() == 1).await;
    clock.advance(DEFAULT_LEASE_MS);
    system.store.tasks.reap_expired_leases(false).await.unwrap();
    let job_at_end = system.wait_for_end(job).await;
    assert_eq!(job_at_end.state, JobState::Succeeded, "another attempt succeeded");

    thaw.add_permits(1);
    worker.drain().await;
    let tasks = system.tasks(job).await;
    assert_eq!(
        attempt_codes(&tasks[0]),
        ["worker_lost", "created"],
        "the late result is no attempt"
    );
    assert_eq!(tasks[0].task.attempt, 1, "a lost lease costs no attempt");
    let facts = system.store.journal.job_journal(system.user, job, 0, 100).await.unwrap();
    let succeeded = facts.iter().filter(|fact| fact.kind == FactKind::TaskSucceeded);
    assert_eq!(succeeded.count(), 1);
    assert_eq!(system.job(job).await.counts, job_at_end.counts);
    assert_eq!(system.effects("acme", "LAMP").len(), 1, "both calls had the task's key");
}

/// Records its drop.
struct DropProbe(EventLog);

impl Drop for DropProbe {
    fn drop(&mut self) {
        self.0.push("dropped");
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_drops_the_call() {
    // It is renewed after 6 s and after 12 s, and the handler timeout is 15 s: what follows the
    // first renewal has 9 s.
    const SHORT_LEASE: Duration = Duration::from_secs(18);
    let short_lease_ms = whole_millis(SHORT_LEASE);
    let clock = ManualClock::at(START);
    let options =
        SystemOptions { clock: clock.clone(), lease: SHORT_LEASE, ..SystemOptions::default() };
    let system = InProcessSystem::new(options).await;
    let seen = EventLog::default();
    let before_upload: BeforeUploadHook = {
        let seen = seen.clone();
        Arc::new(move |claimed| {
            let (hangs, seen) = (!claimed.outcome_unknown(), seen.clone());
            Box::pin(async move {
                if hangs {
                    seen.push("hangs");
                    let _drop_probe = DropProbe(seen);
                    std::future::pending::<()>().await;
                }
            })
        })
    };
    let _worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&["acme"], &["LAMP"]).await;
    wait_until("the call", async || seen.count("hangs") == 1).await;
    clock.advance(short_lease_ms / 2);
    wait_until("a renewal", async || lease_until(&system).await == START + short_lease_ms * 3 / 2)
        .await;
    assert_eq!(seen.count("dropped"), 0);
    assert_eq!(system.store.tasks.reap_expired_leases(true).await.unwrap().len(), 1);
    wait_until("the end of the call", async || seen.count("dropped") == 1).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    assert_eq!(attempt_codes(&system.tasks(job).await[0]).last(), Some(&"created"));
}

async fn lease_until(system: &InProcessSystem) -> i64 {
    let rows = system.query("SELECT lease_until FROM tasks WHERE state = 'running'").await;
    rows.first().map_or(0, |row| row.try_get("", "lease_until").unwrap())
}

#[tokio::test]
async fn a_task_that_loses_five_workers_is_poison_and_other_tasks_finish() {
    let clock = ManualClock::at(START);
    let system =
        InProcessSystem::new(SystemOptions { clock: clock.clone(), ..SystemOptions::default() })
            .await;
    let seen = EventLog::default();
    let before_upload: BeforeUploadHook = {
        let seen = seen.clone();
        Arc::new(move |claimed| {
            let (poison, seen) = (claimed.sku == "POISON", seen.clone());
            Box::pin(async move {
                if poison {
                    seen.push("poison");
                    std::future::pending::<()>().await;
                }
            })
        })
    };
    let _worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&["acme"], &["POISON", "A", "B", "C"]).await;
    wait_until("the neighbours", async || system.job(job).await.counts.succeeded == 3).await;
    for lease_losses in 1..=usize::try_from(MAX_LEASE_LOSSES).unwrap() {
        wait_until("the next victim", async || seen.len() == lease_losses).await;
        clock.advance(DEFAULT_LEASE_MS);
        // The reaper of the system runs every 5 s; this call doesn't wait for it.
        system.store.tasks.reap_expired_leases(false).await.unwrap();
        // From the second loss on, the task is not published again at once.
        clock.advance(DEFAULT_LEASE_MS / 2);
    }
    let job_at_end = system.wait_for_end(job).await;
    assert_eq!((job_at_end.state, job_at_end.counts.failed), (JobState::PartlyFailed, 1));
    let tasks = system.tasks(job).await;
    assert_eq!(tasks[0].task.state, TaskState::Failed);
    assert_eq!(tasks[0].task.outcome.as_ref().unwrap().code, "poison");
    assert_eq!(tasks[0].attempts.len(), 5, "each lost worker is recorded");
}

#[tokio::test]
async fn no_request_starts_that_the_handler_timeout_would_cut_off() {
    // The handler timeout is 10 s, of which a request may take 6 s.
    let system = InProcessSystem::new(SystemOptions {
        lease: Duration::from_secs(12),
        ..SystemOptions::default()
    })
    .await;
    let seen = EventLog::default();
    let before_upload: BeforeUploadHook = {
        let (seen, limiters) = (seen.clone(), system.limiters.clone());
        Arc::new(move |_| {
            let (seen, limiters) = (seen.clone(), limiters.clone());
            Box::pin(async move {
                seen.push("claimed");
                if seen.len() == 1 {
                    // The rate permit becomes invalid; the next one comes when the
                    // handler timeout would cut off a call of 0.2 s.
                    limiters
                        .start_cooldown(
                            "corner",
                            Duration::from_millis(9_900),
                            CooldownReason::TooManyRequests,
                        )
                        .await;
                }
            })
        })
    };
    let _worker = system.spawn_worker("w", &before_upload);
    let job = system.upload_skus(&["corner"], &["LAMP"]).await;
    assert_eq!(system.wait_for_end(job).await.state, JobState::Succeeded);
    let tasks = system.tasks(job).await;
    assert_eq!(attempt_codes(&tasks[0]), ["created"], "no call was cut off");
    assert_eq!(tasks[0].task.attempt, 1, "waiting for a rate permit costs no attempt");
    assert!(seen.len() > 1, "the task was not deferred");
    let requests = system.sandbox.ledger().remove("corner").unwrap().requests;
    assert_eq!(requests.len(), 2, "a look-up and a call: {requests:?}");
}
