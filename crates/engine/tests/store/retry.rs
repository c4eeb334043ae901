//! Retries by a person.

use crate::world::{World, outcome, upload};
use contract::{
    TaskId,
    api::{RetryWhich, WaitReason, WaitingFor},
    state::TaskState,
};
use engine::store::{Claim, Ending, Error};
use uuid::Uuid;

pub async fn what_is_retried_may_be_more_than_a_statement_takes(world: World) {
    let store = &world.store;
    let job = store.accept(upload(world.user, 2)).await.unwrap().job.id;
    let ids: Vec<_> = store.tasks(world.user, job, None, 2).await.unwrap();
    for task in &ids {
        let Claim::Claimed(claimed) = store.claim(task.id, 0, "w").await.unwrap() else { panic!() };
        world.finish(&claimed, Ending::Failed { outcome: outcome("rejected") }).await;
    }
    let which = |tasks| RetryWhich { tasks: Some(tasks), ..RetryWhich::default() };
    let none = store.retry(world.user, job, &which(Vec::new())).await;
    assert!(matches!(none, Err(Error::Conflict(_))), "{none:?}");

    // PostgreSQL takes 65,535 values, SQLite half of that.
    let mut many: Vec<_> = (0..66_000).map(|_| TaskId(Uuid::now_v7())).collect();
    many.extend([ids[0].id, ids[0].id]);
    let (retried, facts) = store.retry(world.user, job, &which(many)).await.unwrap();
    assert_eq!((retried.counts.open, retried.counts.failed), (1, 1));
    assert_eq!(facts[0].data.count, Some(1));
    let states = store.tasks(world.user, job, None, 2).await.unwrap();
    let states: Vec<_> = states.iter().map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Queued, TaskState::Failed]);
    world.check().await;
}

pub async fn what_is_retried_begins_without_what_was_noted(world: World) {
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job.id;
    let first = world.claim_next().await.unwrap();
    let until = world.store.now_ms();
    let waiting_for = WaitingFor { reason: WaitReason::Machine, until: Some(until), detail: None };
    let memo = Some(serde_json::json!({ "noted": true }));
    let wait =
        Ending::Wait { outcome: outcome("starting"), waiting_for, until, memo, quiet: false };
    world.finish(&first, wait).await;
    let noted = world.claim_next().await.unwrap();
    assert!(noted.memo.is_some());
    world.finish(&noted, Ending::Failed { outcome: outcome("rejected") }).await;
    world.store.retry(world.user, job, &RetryWhich::default()).await.unwrap();
    assert_eq!(world.claim_next().await.unwrap().memo, None);
}
