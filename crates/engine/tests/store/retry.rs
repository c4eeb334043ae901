//! Retries by a user.

use crate::fixture::{StoreFixture, new_upload_job, outcome};
use contract::{
    JobId, TaskId,
    api::{Resolution, RetryRequest, WaitReason},
    state::{JobState, TaskState},
};
use engine::store::{
    AttemptError, AttemptResult, Claim, DEFAULT_OPEN_LIMITS, Error, JobControl, OpenKind,
    OpenLimits,
};
use std::time::Duration;
use uuid::Uuid;

pub async fn a_retry_may_name_more_tasks_than_one_statement_takes(fixture: StoreFixture) {
    let store = &fixture.store;
    let job = store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap().job.id;
    let ids: Vec<_> = store.jobs.tasks(fixture.user, job, None, 2).await.unwrap();
    for task in &ids {
        let Claim::Claimed(claimed) = store.tasks.claim(task.id, 0, "w").await.unwrap() else {
            panic!()
        };
        fixture.finish(&claimed, Err(AttemptError::Failed(outcome("rejected")))).await;
    }
    let which = |tasks| RetryRequest { tasks: Some(tasks), ..RetryRequest::default() };
    let none = store.tasks.retry_tasks(fixture.user, job, &which(Vec::new())).await;
    assert!(matches!(none, Err(Error::Conflict(_))), "{none:?}");

    // PostgreSQL accepts 65,535 values, SQLite half of that.
    let mut many: Vec<_> = (0..66_000).map(|_| TaskId(Uuid::now_v7())).collect();
    many.extend([ids[0].id, ids[0].id]);
    let (retried, facts) = store.tasks.retry_tasks(fixture.user, job, &which(many)).await.unwrap();
    assert_eq!((retried.counts.open, retried.counts.failed), (1, 1));
    assert_eq!(facts[0].data.count, Some(1));
    let states = store.jobs.tasks(fixture.user, job, None, 2).await.unwrap();
    let states: Vec<_> = states.iter().map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Queued, TaskState::Failed]);
    fixture.assert_consistent().await;
}

pub async fn a_retry_clears_the_checkpoint(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().job.id;
    let first = fixture.claim_next().await.unwrap();
    let wait = AttemptError::Wait {
        outcome: outcome("starting"),
        reason: WaitReason::Machine,
        wait: Duration::ZERO,
        checkpoint: Some(Box::new(serde_json::json!({ "saved": true }))),
        record_attempt: true,
    };
    fixture.finish(&first, Err(wait)).await;
    let second = fixture.claim_next().await.unwrap();
    assert!(second.checkpoint.is_some());
    fixture.finish(&second, Err(AttemptError::Failed(outcome("rejected")))).await;
    fixture.store.tasks.retry_tasks(fixture.user, job, &RetryRequest::default()).await.unwrap();
    assert_eq!(fixture.claim_next().await.unwrap().checkpoint, None);
}

/// Finishes all queued tasks of a job with `result`.
async fn finish_all(fixture: &StoreFixture, job: JobId, result: AttemptResult) {
    for task in fixture.store.jobs.tasks(fixture.user, job, None, 100).await.unwrap() {
        let claim = fixture.store.tasks.claim(task.id, 0, "w1").await.unwrap();
        let Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
        fixture.finish(&claimed, result.clone()).await;
    }
}

pub async fn retries_and_resolutions_count_against_the_open_limits(fixture: StoreFixture) {
    let user = fixture.user;
    let store = fixture.store.clone().with_open_limits(OpenLimits { tasks: 10, jobs: 2 });
    let refused = |result: Result<_, Error>| match result {
        Err(Error::TooManyOpen { what, open, more, limit }) => (what, open, more, limit),
        other => panic!("{:?}", other.map(drop)),
    };
    let failed = store.tasks.accept(new_upload_job(user, 10)).await.unwrap().job.id;
    finish_all(&fixture, failed, Err(AttemptError::Failed(outcome("rejected")))).await;
    let unknown_job = store.tasks.accept(new_upload_job(user, 1)).await.unwrap().job.id;
    finish_all(&fixture, unknown_job, Err(AttemptError::NeedsReview(outcome("outcome_unknown"))))
        .await;
    let unknown_task = store.jobs.tasks(user, unknown_job, None, 1).await.unwrap()[0].id;
    let full = store.tasks.accept(new_upload_job(user, 10)).await.unwrap().job.id;

    let all = RetryRequest::default();
    assert_eq!(
        refused(store.tasks.retry_tasks(user, failed, &all).await),
        (OpenKind::Items, 10, 10, 10)
    );
    let first = store.jobs.tasks(user, failed, None, 1).await.unwrap()[0].id;
    let one = RetryRequest { tasks: Some(vec![first]), ..RetryRequest::default() };
    assert_eq!(
        refused(store.tasks.retry_tasks(user, failed, &one).await),
        (OpenKind::Items, 10, 1, 10)
    );
    let again = store.tasks.resolve_task(user, unknown_task, Resolution::Retry).await;
    assert_eq!(refused(again), (OpenKind::Items, 10, 1, 10));
    let job = store.jobs.job(user, failed).await.unwrap();
    assert_eq!((job.state, job.counts.failed, job.counts.open), (JobState::Failed, 10, 0));

    store.tasks.control_job(user, full, JobControl::Cancel).await.unwrap();
    store.tasks.retry_tasks(user, failed, &one).await.unwrap();
    let small = store.tasks.accept(new_upload_job(user, 1)).await.unwrap().job.id;
    // A retry in an open job adds no open job; in an ended job it adds one.
    let nine = store.jobs.tasks(user, failed, None, 10).await.unwrap();
    let nine = nine[1..].iter().map(|task| task.id);
    let eight =
        RetryRequest { tasks: Some(nine.clone().take(8).collect()), ..RetryRequest::default() };
    store.tasks.retry_tasks(user, failed, &eight).await.unwrap();
    let ninth = RetryRequest { tasks: Some(nine.skip(8).collect()), ..RetryRequest::default() };
    assert_eq!(
        refused(store.tasks.retry_tasks(user, failed, &ninth).await),
        (OpenKind::Items, 10, 1, 10)
    );
    let wide = fixture.store.clone().with_open_limits(OpenLimits { tasks: 100, jobs: 2 });
    assert_eq!(
        refused(wide.tasks.resolve_task(user, unknown_task, Resolution::Retry).await),
        (OpenKind::Jobs, 2, 1, 2)
    );
    store.tasks.control_job(user, small, JobControl::Cancel).await.unwrap();
    wide.tasks.resolve_task(user, unknown_task, Resolution::Retry).await.unwrap();
    fixture.assert_consistent().await;
}

pub async fn a_concurrent_retry_and_new_job_do_not_exceed_the_open_limits(fixture: StoreFixture) {
    let user = fixture.user;
    for round in 0..10 {
        let job = fixture.store.tasks.accept(new_upload_job(user, 5)).await.unwrap().job.id;
        finish_all(&fixture, job, Err(AttemptError::Failed(outcome("rejected")))).await;
        let max = OpenLimits { tasks: 5, ..DEFAULT_OPEN_LIMITS };
        let (store, other) = (
            fixture.store.clone().with_open_limits(max),
            fixture.other_store.clone().with_open_limits(max),
        );
        let all = RetryRequest::default();
        let (retried, launched) = tokio::join!(
            store.tasks.retry_tasks(user, job, &all),
            other.tasks.accept(new_upload_job(user, 5))
        );
        assert!(retried.is_ok() != launched.is_ok(), "{round}: {retried:?} {launched:?}");
        let open = launched.map_or(job, |accepted| accepted.job.id);
        fixture.store.tasks.control_job(user, open, JobControl::Cancel).await.unwrap();
    }
    fixture.assert_consistent().await;
}
