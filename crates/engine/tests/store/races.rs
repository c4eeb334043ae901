//! Two processes on one database at once. Which one comes first is chance; the
//! result is not.

use crate::fixture::{
    QUEUE, StoreFixture, finish, new_job, new_upload_job, outcome, success, task,
};
use contract::{
    TaskId,
    api::{Resolution, RetryRequest},
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{
    AttemptError, Claim, ClaimedTask, DEFAULT_OPEN_LIMITS, Error, JobControl, OpenKind, OpenLimits,
    RoundRobin, Store,
};
use std::time::Duration;

/// Number of rounds of each race.
const ROUNDS: u32 = 8;

async fn claim(store: &Store, task: TaskId, fence: i64, worker: &str) -> Option<ClaimedTask> {
    match store.tasks.claim(task, fence, worker).await.unwrap() {
        Claim::Claimed(claimed) => Some(*claimed),
        _ => None,
    }
}

pub async fn concurrent_claims_of_one_task_have_one_winner(fixture: StoreFixture) {
    fixture.store.tasks.accept(new_upload_job(fixture.user, ROUNDS)).await.unwrap();
    for due in fixture
        .store
        .tasks
        .due_tasks(QUEUE, ROUNDS as usize, &RoundRobin::default())
        .await
        .unwrap()
        .tasks
    {
        let (a, b) = tokio::join!(
            claim(&fixture.store, due.task, due.fence, "a"),
            claim(&fixture.other_store, due.task, due.fence, "b")
        );
        assert!(a.is_some() != b.is_some(), "{a:?} {b:?}");
    }
    assert_eq!(
        fixture.store.jobs.running_task_ids(fixture.user).await.unwrap().len(),
        ROUNDS as usize
    );
}

pub async fn concurrent_claims_of_one_key_run_one_at_a_time(fixture: StoreFixture) {
    for round in 0..ROUNDS {
        let key = format!("SKU-{round}");
        for _ in 0..2 {
            let twin = new_job(fixture.user, vec![task(&key, 0)]);
            fixture.store.tasks.accept(twin).await.unwrap();
        }
        let due =
            fixture.store.tasks.due_tasks(QUEUE, 2, &RoundRobin::default()).await.unwrap().tasks;
        let (a, b) = tokio::join!(
            fixture.store.tasks.claim(due[0].task, due[0].fence, "a"),
            fixture.other_store.tasks.claim(due[1].task, due[1].fence, "b")
        );
        let claimed = match (a.unwrap(), b.unwrap()) {
            (Claim::Claimed(claimed), Claim::KeyInUse)
            | (Claim::KeyInUse, Claim::Claimed(claimed)) => claimed,
            other => panic!("{other:?}"),
        };
        fixture.succeed(&claimed).await;
        fixture.clock.advance(2_000);
        let second = fixture.claim_next().await.unwrap();
        assert_ne!(second.id, claimed.id, "the one that waited is published again");
        fixture.succeed(&second).await;
    }
    fixture.assert_consistent().await;
}

pub async fn concurrent_batch_claims_share_no_task(fixture: StoreFixture) {
    for _ in 0..ROUNDS {
        let job =
            fixture.store.tasks.accept(new_upload_job(fixture.user, 40)).await.unwrap().job.id;
        let due =
            fixture.store.tasks.due_tasks(QUEUE, 40, &RoundRobin::default()).await.unwrap().tasks;
        let batch: Vec<_> = due.iter().map(|due| (due.task, due.fence)).collect();
        let reversed: Vec<_> = batch.iter().rev().copied().collect();
        let (a, b, marked) = tokio::join!(
            fixture.store.tasks.claim_batch(&batch, "a"),
            fixture.other_store.tasks.claim_batch(&reversed, "b"),
            fixture.other_store.tasks.mark_published(&batch, &[], None)
        );
        marked.unwrap();
        let mut claimed = Vec::new();
        for claim in a.into_iter().chain(b) {
            match claim.unwrap() {
                Claim::Claimed(task) => claimed.push(*task),
                Claim::NotClaimable => {}
                other => panic!("{other:?}"),
            }
        }
        let tasks: std::collections::HashSet<_> = claimed.iter().map(|task| task.id).collect();
        assert_eq!((tasks.len(), claimed.len()), (40, 40));
        let (one, two) = claimed.split_at(20);
        let ends = |claimed: &[ClaimedTask]| claimed.iter().map(|c| finish(c, success())).collect();
        let (a, b) = tokio::join!(
            fixture.store.tasks.finish(ends(one)),
            fixture.other_store.tasks.finish(ends(two))
        );
        assert!(a.iter().chain(&b).all(|end| matches!(end, Ok(Some(_)))));
        let job = fixture.store.jobs.job(fixture.user, job).await.unwrap();
        assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 40));
    }
    fixture.assert_consistent().await;
}

/// Each batch has jobs of three users, in any order: the order of locks must
/// prevent deadlocks, rather than the database resolve them.
pub async fn workers_and_relay_do_not_deadlock(fixture: StoreFixture) {
    let mut users = vec![fixture.user];
    for name in ["bob", "eve"] {
        users.push(fixture.add_user(name, contract::api::Role::User).await);
    }
    for round in 0..ROUNDS {
        for (n, user) in users.iter().enumerate() {
            for part in ["x", "y"] {
                let key = |row| task(&format!("{n}-{part}-{round}-{row}"), row);
                fixture
                    .store
                    .tasks
                    .accept(new_job(*user, (0..12).map(key).collect()))
                    .await
                    .unwrap();
            }
        }
    }
    let work = async |store: &Store, name: &'static str| {
        let mut finished = 0;
        loop {
            let due = store.tasks.due_tasks(QUEUE, 24, &RoundRobin::default()).await.unwrap().tasks;
            if due.is_empty() {
                return finished;
            }
            let batch: Vec<_> = due.iter().map(|due| (due.task, due.fence)).collect();
            let claims = store.tasks.claim_batch(&batch, name).await;
            let mut finishes = Vec::new();
            for claim in claims {
                if let Claim::Claimed(claimed) = claim.unwrap() {
                    finishes.push(finish(&claimed, success()));
                }
            }
            finishes.reverse();
            for finish_result in store.tasks.finish(finishes).await {
                finished += i32::from(finish_result.unwrap().is_some());
            }
        }
    };
    let (a, b, c, d) = tokio::join!(
        work(&fixture.store, "a"),
        work(&fixture.other_store, "b"),
        work(&fixture.store, "c"),
        work(&fixture.other_store, "d")
    );
    assert_eq!(a + b + c + d, 3 * 2 * 12 * i32::try_from(ROUNDS).unwrap());
    for user in users {
        for job in fixture.store.jobs.jobs(user, None, 100).await.unwrap().items {
            assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 12));
        }
        let facts = fixture.store.journal.facts_after(user, 0, 10_000).await.unwrap();
        let head = fixture.store.journal.journal_head(user).await.unwrap();
        assert!(facts.iter().map(|fact| fact.seq).eq(1..=head));
    }
}

pub async fn a_concurrent_finish_and_cancel_stay_consistent(fixture: StoreFixture) {
    for _ in 0..ROUNDS {
        let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap().job.id;
        let retried = fixture.claim_next().await.unwrap();
        let succeeded = fixture.claim_next().await.unwrap();
        let retry =
            Err(AttemptError::Retry { outcome: outcome("http_500"), outcome_unknown: false });
        let finishes = vec![finish(&retried, retry), finish(&succeeded, success())];
        let (ended, cancelled) = tokio::join!(
            fixture.store.tasks.finish(finishes),
            fixture.other_store.tasks.control_job(fixture.user, job, JobControl::Cancel)
        );
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        cancelled.unwrap();
        let job = fixture.store.jobs.job(fixture.user, job).await.unwrap();
        assert_eq!((job.state, job.counts.cancelled), (JobState::Cancelled, 2));
        assert_eq!(job.counts.succeeded, 1);
        fixture.assert_consistent().await;
    }
}

pub async fn a_concurrent_retry_and_cancel_stay_consistent(fixture: StoreFixture) {
    for _ in 0..ROUNDS {
        let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap().job.id;
        let failed = fixture.claim_next().await.unwrap();
        fixture.finish(&failed, Err(AttemptError::Failed(outcome("rejected")))).await;
        let all = RetryRequest::default();
        let (retried, cancelled) = tokio::join!(
            fixture.store.tasks.retry_tasks(fixture.user, job, &all),
            fixture.other_store.tasks.control_job(fixture.user, job, JobControl::Cancel)
        );
        // After the cancel the job has ended, and its failure can be retried.
        retried.unwrap();
        cancelled.unwrap();
        fixture.assert_consistent().await;
        let tasks = fixture.store.jobs.tasks(fixture.user, job, None, 10).await.unwrap();
        let failed = tasks.iter().find(|task| task.id == failed.id).unwrap();
        assert!(matches!(failed.state, TaskState::Queued | TaskState::Cancelled));
        if let Some(claimed) = fixture.claim_next().await {
            fixture.succeed(&claimed).await;
        }
    }
}

pub async fn concurrent_requests_with_one_idempotency_key_make_one_job(fixture: StoreFixture) {
    for round in 0..ROUNDS {
        let mut job = new_upload_job(fixture.user, 30);
        job.idempotency = Some((format!("key-{round}"), "hash".into()));
        let (a, b) = tokio::join!(
            fixture.store.tasks.accept(job.clone()),
            fixture.other_store.tasks.accept(job)
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.job.id, b.job.id);
        assert_eq!(a.facts.len() + b.facts.len(), 1, "only one of them is new");
    }
    let jobs = fixture.store.jobs.jobs(fixture.user, None, 100).await.unwrap().items;
    assert_eq!(jobs.len(), ROUNDS as usize);
}

pub async fn concurrent_jobs_do_not_exceed_the_open_limits(fixture: StoreFixture) {
    for jobs in 1..=i64::from(ROUNDS) {
        let (max, bound) = match jobs % 2 {
            0 => (OpenLimits { jobs, ..DEFAULT_OPEN_LIMITS }, OpenKind::Jobs),
            _ => (OpenLimits { tasks: jobs * 30, ..DEFAULT_OPEN_LIMITS }, OpenKind::Items),
        };
        let store = |store: &Store| store.clone().with_open_limits(max);
        let (store, other) = (store(&fixture.store), store(&fixture.other_store));
        let launch = || new_upload_job(fixture.user, 30);
        let (first, second) =
            tokio::join!(store.tasks.accept(launch()), other.tasks.accept(launch()));
        let refused = if first.is_ok() { second } else { first };
        let refused = refused.err();
        assert!(
            matches!(&refused, Some(Error::TooManyOpen { what, .. }) if *what == bound),
            "{refused:?}"
        );
        let jobs = usize::try_from(jobs).unwrap();
        assert_eq!(
            fixture.store.jobs.jobs(fixture.user, None, 100).await.unwrap().items.len(),
            jobs
        );
    }
}

pub async fn concurrent_resolutions_of_one_task_apply_once(fixture: StoreFixture) {
    for _ in 0..ROUNDS {
        fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
        let claimed = fixture.claim_next().await.unwrap();
        fixture.finish(&claimed, Err(AttemptError::NeedsReview(outcome("outcome_unknown")))).await;
        let (a, b) = tokio::join!(
            fixture.store.tasks.resolve_task(fixture.user, claimed.id, Resolution::Succeeded),
            fixture.other_store.tasks.resolve_task(fixture.user, claimed.id, Resolution::Retry)
        );
        let late = if a.is_ok() { b } else { a };
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
        if let Some(again) = fixture.claim_next().await {
            fixture.succeed(&again).await;
        }
        fixture.assert_consistent().await;
    }
}

pub async fn concurrent_workers_lose_no_count_and_no_fact(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 40)).await.unwrap().job.id;
    let work = async |store: &Store| {
        let mut finished = 0;
        loop {
            let due = store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
            let Some(first) = due.first() else { return finished };
            let Some(claimed) = claim(store, first.task, first.fence, "w").await else { continue };
            let outcome_of_row = match claimed.row % 3 {
                0 => Err(AttemptError::Failed(outcome("rejected"))),
                1 => Err(AttemptError::NeedsReview(outcome("outcome_unknown"))),
                _ => success(),
            };
            let facts =
                store.tasks.finish(vec![finish(&claimed, outcome_of_row)]).await.remove(0).unwrap();
            let kinds = crate::fixture::fact_kinds(facts.as_ref());
            finished += u32::from(kinds.contains(&FactKind::JobFinished));
        }
    };
    let (a, b, c, d) = tokio::join!(
        work(&fixture.store),
        work(&fixture.other_store),
        work(&fixture.store),
        work(&fixture.other_store)
    );
    assert_eq!(a + b + c + d, 1, "the job finished once");
    let job = fixture.store.jobs.job(fixture.user, job).await.unwrap();
    let c = job.counts;
    assert_eq!((c.failed, c.needs_review, c.succeeded, c.open), (14, 13, 13, 0));
    assert_eq!(job.state, JobState::PartlyFailed);
    fixture.assert_consistent().await;
}

pub async fn a_deadlock_is_retried(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 60)).await.unwrap().job.id;
    for _ in 0..ROUNDS {
        let due =
            fixture.store.tasks.due_tasks(QUEUE, 60, &RoundRobin::default()).await.unwrap().tasks;
        let mut published: Vec<_> = due.iter().map(|due| (due.task, due.fence)).collect();
        fixture.store.tasks.mark_published(&published, &[], None).await.unwrap();
        // A pause locks the tasks in one order, and these marks in the other.
        published.reverse();
        let (marked, marked_too, paused) = tokio::join!(
            fixture.store.tasks.mark_published(&published, &[], None),
            fixture.other_store.tasks.mark_published(&published, &[], None),
            fixture.other_store.tasks.control_job(fixture.user, job, JobControl::Pause)
        );
        marked.unwrap();
        marked_too.unwrap();
        paused.unwrap();
        fixture.store.tasks.control_job(fixture.user, job, JobControl::Resume).await.unwrap();
    }
    fixture.assert_consistent().await;
}

pub async fn a_leader_lease_has_one_holder(fixture: StoreFixture) {
    const TERM: Duration = Duration::from_secs(1);
    assert!(fixture.store.coordination.acquire_leader_lease("relay", "a", TERM).await.unwrap());
    assert!(
        !fixture.other_store.coordination.acquire_leader_lease("relay", "b", TERM).await.unwrap()
    );
    fixture.store.coordination.release_leader_lease("relay", "a").await.unwrap();
    assert!(
        fixture.other_store.coordination.acquire_leader_lease("relay", "b", TERM).await.unwrap()
    );
    fixture.clock.advance(1_001);
    let (a, b) = tokio::join!(
        fixture.store.coordination.acquire_leader_lease("relay", "a", TERM),
        fixture.other_store.coordination.acquire_leader_lease("relay", "c", TERM)
    );
    assert!(a.unwrap() != b.unwrap());
}

/// A relay finds that a job has no due tasks while another process makes one of its
/// tasks due: the relay finds that task in its next round.
pub async fn a_task_that_becomes_due_during_a_relay_round_is_published(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap().job;
    for _ in 0..ROUNDS * 4 {
        let due = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap();
        assert_eq!((due.tasks.len(), due.exhausted_jobs.len()), (1, 1), "{:?}", due.exhausted_jobs);
        let (task, fence) = (due.tasks[0].task, due.tasks[0].fence);
        fixture.store.tasks.mark_published(&[(task, fence)], &[], None).await.unwrap();
        let (marked, unpublished) = tokio::join!(
            fixture.store.tasks.mark_published(&[], &due.exhausted_jobs, None),
            fixture.other_store.tasks.unpublish_tasks(QUEUE, i64::MAX)
        );
        marked.unwrap();
        assert_eq!(unpublished.unwrap(), 1);
    }
    assert_eq!(fixture.store.jobs.job(fixture.user, job.id).await.unwrap().counts.open, 1);
}

/// A queue is deleted after the relay publishes a task and before it marks it: the
/// message is lost, and the task must not wait for it.
pub async fn a_task_marked_published_after_its_queue_was_lost_is_republished(
    fixture: StoreFixture,
) {
    fixture.store.tasks.add_queue_generations(&[QUEUE.into()]).await.unwrap();
    fixture.store.tasks.accept(new_upload_job(fixture.user, 1)).await.unwrap();
    let due = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap();
    let batch = [(due.tasks[0].task, due.tasks[0].fence)];
    assert_eq!(
        fixture.other_store.tasks.unpublish_lost_queue(QUEUE).await.unwrap(),
        0,
        "nothing is marked yet"
    );
    let mark =
        fixture.store.tasks.mark_published(&batch, &due.exhausted_jobs, due.generation.as_ref());
    mark.await.unwrap();
    let again = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap();
    assert_eq!(again.tasks.len(), 1);
    let mark = fixture.store.tasks.mark_published(
        &batch,
        &again.exhausted_jobs,
        again.generation.as_ref(),
    );
    mark.await.unwrap();
    assert!(
        fixture
            .store
            .tasks
            .due_tasks(QUEUE, 4, &RoundRobin::default())
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
}
