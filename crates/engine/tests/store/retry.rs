//! Retries by a person.

use crate::world::{World, outcome, upload};
use contract::{
    JobId, TaskId,
    api::{ResolveAs, RetryWhich, WaitReason, WaitingFor},
    state::{JobState, TaskState},
};
use engine::store::{Claim, Control, Ending, Error, MAX_OPEN, MaxOpen};
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

/// Ends all tasks of a job that are queued, so.
async fn end_all(world: &World, job: JobId, ending: Ending) {
    for task in world.store.tasks(world.user, job, None, 100).await.unwrap() {
        let claim = world.store.claim(task.id, 0, "w1").await.unwrap();
        let Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
        world.finish(&claimed, ending.clone()).await;
    }
}

pub async fn what_is_retried_or_decided_counts_as_a_launch_does(world: World) {
    let user = world.user;
    let store = world.store.clone().with_max_open(MaxOpen { tasks: 10, jobs: 2 });
    let refused = |done: Result<_, Error>| match done {
        Err(Error::TooManyOpen { what, open, more, limit }) => (what, open, more, limit),
        other => panic!("{:?}", other.map(drop)),
    };
    let failed = store.accept(upload(user, 10)).await.unwrap().job.id;
    end_all(&world, failed, Ending::Failed { outcome: outcome("rejected") }).await;
    let unsure = store.accept(upload(user, 1)).await.unwrap().job.id;
    end_all(&world, unsure, Ending::NeedsPerson { outcome: outcome("unsure") }).await;
    let unsure = store.tasks(user, unsure, None, 1).await.unwrap()[0].id;
    let full = store.accept(upload(user, 10)).await.unwrap().job.id;

    let all = RetryWhich::default();
    assert_eq!(refused(store.retry(user, failed, &all).await), ("items", 10, 10, 10));
    let first = store.tasks(user, failed, None, 1).await.unwrap()[0].id;
    let one = RetryWhich { tasks: Some(vec![first]), channel: None };
    assert_eq!(refused(store.retry(user, failed, &one).await), ("items", 10, 1, 10));
    let again = store.resolve(user, unsure, ResolveAs::Again).await;
    assert_eq!(refused(again), ("items", 10, 1, 10));
    let job = store.job(user, failed).await.unwrap();
    assert_eq!((job.state, job.counts.failed, job.counts.open), (JobState::Failed, 10, 0));

    store.control(user, full, Control::Cancel).await.unwrap();
    store.retry(user, failed, &one).await.unwrap();
    let small = store.accept(upload(user, 1)).await.unwrap().job.id;
    // A job that is open already is no further one, and one that has ended is.
    let nine = store.tasks(user, failed, None, 10).await.unwrap();
    let nine = nine[1..].iter().map(|task| task.id);
    let eight = RetryWhich { tasks: Some(nine.clone().take(8).collect()), channel: None };
    store.retry(user, failed, &eight).await.unwrap();
    let ninth = RetryWhich { tasks: Some(nine.skip(8).collect()), channel: None };
    assert_eq!(refused(store.retry(user, failed, &ninth).await), ("items", 10, 1, 10));
    let wide = world.store.clone().with_max_open(MaxOpen { tasks: 100, jobs: 2 });
    assert_eq!(refused(wide.resolve(user, unsure, ResolveAs::Again).await), ("jobs", 2, 1, 2));
    store.control(user, small, Control::Cancel).await.unwrap();
    wide.resolve(user, unsure, ResolveAs::Again).await.unwrap();
    world.check().await;
}

pub async fn a_retry_and_a_launch_at_once_do_not_pass_the_limit_together(world: World) {
    let user = world.user;
    for round in 0..10 {
        let job = world.store.accept(upload(user, 5)).await.unwrap().job.id;
        end_all(&world, job, Ending::Failed { outcome: outcome("rejected") }).await;
        let max = MaxOpen { tasks: 5, ..MAX_OPEN };
        let (store, other) =
            (world.store.clone().with_max_open(max), world.other.clone().with_max_open(max));
        let all = RetryWhich::default();
        let (retried, launched) =
            tokio::join!(store.retry(user, job, &all), other.accept(upload(user, 5)));
        assert!(retried.is_ok() != launched.is_ok(), "{round}: {retried:?} {launched:?}");
        let open = launched.map_or(job, |accepted| accepted.job.id);
        world.store.control(user, open, Control::Cancel).await.unwrap();
    }
    world.check().await;
}
