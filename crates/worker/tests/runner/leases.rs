//! Workers that lose what they hold.

use crate::world::{Script, Seen, Setup, World, codes, until};
use contract::{
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::{
    clock::Steered,
    store::{LEASE_MS, MAX_LOST},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

const START: i64 = 1_000_000_000;

#[tokio::test]
async fn the_late_result_of_a_frozen_worker_is_discarded() {
    let clock = Steered::at(START);
    let world = World::new(Setup { clock: clock.clone(), ..Setup::default() }).await;
    let (seen, thaw) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let script: Script = {
        let (seen, thaw) = (seen.clone(), Arc::clone(&thaw));
        Arc::new(move |claimed| {
            let freezes = !claimed.unsure;
            let (seen, thaw) = (seen.clone(), Arc::clone(&thaw));
            Box::pin(async move {
                if freezes {
                    seen.push("frozen");
                    let _thawed = thaw.acquire().await.unwrap();
                }
            })
        })
    };
    let worker = world.work("w", &script);
    let job = world.upload(&["acme"], &["LAMP"]).await;
    until("the freeze", async || seen.len() == 1).await;
    clock.advance(LEASE_MS);
    world.store.reap(false).await.unwrap();
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, JobState::Succeeded, "another attempt did it");

    thaw.add_permits(1);
    worker.drain().await;
    let tasks = world.tasks(job).await;
    assert_eq!(codes(&tasks[0]), ["worker_lost", "created"], "the late one is none");
    assert_eq!(tasks[0].task.attempt, 1, "a lost lease costs no attempt");
    let facts = world.store.job_journal(world.user, job, 0, 100).await.unwrap();
    let succeeded = facts.iter().filter(|fact| fact.kind == FactKind::TaskSucceeded);
    assert_eq!(succeeded.count(), 1);
    assert_eq!(world.job(job).await.counts, ended.counts);
    assert_eq!(world.effects("acme", "LAMP").len(), 1, "both calls had the task's key");
}

/// Says when it is dropped.
struct Falls(Seen);

impl Drop for Falls {
    fn drop(&mut self) {
        self.0.push("dropped");
    }
}

#[tokio::test]
async fn a_worker_that_finds_its_lease_lost_drops_the_call() {
    const LEASE: i64 = 9_000;
    let clock = Steered::at(START);
    let setup = Setup { clock: clock.clone(), lease_ms: LEASE, ..Setup::default() };
    let world = World::new(setup).await;
    let seen = Seen::default();
    let script: Script = {
        let seen = seen.clone();
        Arc::new(move |claimed| {
            let (hangs, seen) = (!claimed.unsure, seen.clone());
            Box::pin(async move {
                if hangs {
                    seen.push("hangs");
                    let _falls = Falls(seen);
                    std::future::pending::<()>().await;
                }
            })
        })
    };
    let _worker = world.work("w", &script);
    let job = world.upload(&["acme"], &["LAMP"]).await;
    until("the call", async || seen.count("hangs") == 1).await;
    clock.advance(LEASE / 2);
    until("a renewal", async || lease_until(&world).await == START + LEASE * 3 / 2).await;
    assert_eq!(seen.count("dropped"), 0);
    assert_eq!(world.store.reap(true).await.unwrap().len(), 1);
    until("the end of the call", async || seen.count("dropped") == 1).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    assert_eq!(codes(&world.tasks(job).await[0]).last(), Some(&"created"));
}

async fn lease_until(world: &World) -> i64 {
    let rows = world.rows("SELECT lease_until FROM tasks WHERE state = 'running'").await;
    rows.first().map_or(0, |row| row.try_get("", "lease_until").unwrap())
}

#[tokio::test]
async fn what_kills_five_workers_is_poison_and_its_neighbours_finish() {
    let clock = Steered::at(START);
    let world = World::new(Setup { clock: clock.clone(), ..Setup::default() }).await;
    let seen = Seen::default();
    let script: Script = {
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
    let _worker = world.work("w", &script);
    let job = world.upload(&["acme"], &["POISON", "A", "B", "C"]).await;
    until("the neighbours", async || world.job(job).await.counts.succeeded == 3).await;
    for lost in 1..=usize::try_from(MAX_LOST).unwrap() {
        until("the next victim", async || seen.len() == lost).await;
        clock.advance(LEASE_MS);
        // The world's reaper comes every 5 s; this may be before it.
        world.store.reap(false).await.unwrap();
        // From the second loss on it is not had come again at once.
        clock.advance(LEASE_MS / 2);
    }
    let ended = world.end_of(job).await;
    assert_eq!((ended.state, ended.counts.failed), (JobState::PartlyFailed, 1));
    let tasks = world.tasks(job).await;
    assert_eq!(tasks[0].task.state, TaskState::Failed);
    assert_eq!(tasks[0].task.outcome.as_ref().unwrap().code, "poison");
    assert_eq!(tasks[0].attempts.len(), 5, "each victim is told");
}

#[tokio::test]
async fn no_request_begins_that_would_be_cut_off_by_the_end_of_the_handler() {
    // A handler is stopped after 3.3 s, and a request may take 2 s of them.
    let world = World::new(Setup { lease_ms: 4_000, ..Setup::default() }).await;
    let seen = Seen::default();
    let script: Script = {
        let (seen, gates) = (seen.clone(), world.gates.clone());
        Arc::new(move |_| {
            let (seen, gates) = (seen.clone(), gates.clone());
            Box::pin(async move {
                seen.push("claimed");
                if seen.len() == 1 {
                    // The slot that is held is lost; the next one comes when
                    // a call of 0.2 s would be stopped in the middle.
                    gates.close("corner", Duration::from_millis(3_200), "http_429").await;
                }
            })
        })
    };
    let _worker = world.work("w", &script);
    let job = world.upload(&["corner"], &["LAMP"]).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    let tasks = world.tasks(job).await;
    assert_eq!(codes(&tasks[0]), ["created"], "no call was cut off");
    assert_eq!(tasks[0].task.attempt, 1, "a pace that is waited for costs no attempt");
    assert!(seen.len() > 1, "it was not put off");
    let requests = world.sandbox.ledger().remove("corner").unwrap().requests;
    assert_eq!(requests.len(), 1, "{requests:?}");
}
