//! Heartbeats of workers, and the tasks that they hold.

use crate::fixture::{START, StoreFixture, new_upload_job};
use engine::store::{HeldTask, WorkerHeartbeat, WorkerIdentity};
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;

pub async fn a_worker_is_listed_from_its_first_heartbeat_to_its_end(fixture: StoreFixture) {
    let coordination = &fixture.store.coordination;
    let identity = |name: &str| WorkerIdentity {
        id: Uuid::now_v7(),
        name: name.into(),
        version: "0.1.0".into(),
    };
    let (first, second) = (identity("w-1"), identity("w-2"));
    coordination.record_heartbeat(&first, false).await.unwrap();
    coordination.record_heartbeat(&second, false).await.unwrap();
    fixture.clock.advance(20_000);
    coordination.record_heartbeat(&first, true).await.unwrap();
    let listed = |worker: &WorkerIdentity, seen_at, draining| WorkerHeartbeat {
        name: worker.name.clone(),
        version: worker.version.clone(),
        started_at: START,
        seen_at,
        draining,
    };
    // Any process sees them.
    let workers = fixture.other_store.coordination.workers().await.unwrap();
    assert_eq!(workers, [listed(&first, START + 20_000, true), listed(&second, START, false)]);
    coordination.forget_worker(first.id).await.unwrap();
    assert_eq!(coordination.workers().await.unwrap(), [listed(&second, START, false)]);
    // One that was killed is forgotten by the others.
    fixture.clock.advance(HOUR_MS + 1);
    let third = identity("w-3");
    coordination.record_heartbeat(&third, false).await.unwrap();
    let names: Vec<_> =
        coordination.workers().await.unwrap().into_iter().map(|worker| worker.name).collect();
    assert_eq!(names, ["w-3"]);
}

pub async fn held_tasks_are_those_that_run_now_longest_first(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 4)).await.unwrap().job.id;
    let first = fixture.claim_next().await.unwrap();
    fixture.clock.advance(3_000);
    let second = fixture.claim_next().await.unwrap();
    let third = fixture.claim_next().await.unwrap();
    fixture.succeed(&third).await;
    let held = |task, sku: &str, started_at| HeldTask {
        worker: "w1".into(),
        task,
        job,
        kind: "product.upload".into(),
        sku: sku.into(),
        started_at,
        attempt: 1,
    };
    let expected = [held(first.id, "SKU-0", START), held(second.id, "SKU-1", START + 3_000)];
    // Any process sees them.
    let jobs = &fixture.other_store.jobs;
    assert_eq!(jobs.held_tasks(10).await.unwrap(), expected);
    assert_eq!(jobs.held_tasks(1).await.unwrap(), expected[..1]);
    fixture.succeed(&first).await;
    assert_eq!(jobs.held_tasks(10).await.unwrap(), expected[1..]);
}
