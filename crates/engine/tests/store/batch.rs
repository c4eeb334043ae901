//! Outcomes of many claims in one commit.

use crate::fixture::{
    QUEUE, StoreFixture, fact_kinds, finish, new_job, new_upload_job, outcome, success, task,
};
use contract::{
    api::Role,
    envelope::CommandMessage,
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{
    AttemptError, AttemptResult, Claim, ClaimedTask, DEFAULT_LEASE_MS, JobControl, RoundRobin,
};

async fn claim(fixture: &StoreFixture, count: usize) -> Vec<ClaimedTask> {
    let mut claimed = Vec::with_capacity(count);
    while claimed.len() < count {
        claimed.push(fixture.claim_next().await.unwrap());
    }
    claimed
}

fn retry() -> AttemptResult {
    Err(AttemptError::Retry { outcome: outcome("http_500"), outcome_unknown: false })
}

pub async fn a_batch_of_finishes_is_one_commit_with_facts_for_each(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    fixture.store.tasks.accept(new_upload_job(fixture.user, 3)).await.unwrap();
    let mut bobs = new_upload_job(bob, 2);
    for task in &mut bobs.tasks {
        task.key.push_str("-bob");
    }
    let bobs = fixture.store.tasks.accept(bobs).await.unwrap().job.id;
    let claimed = claim(&fixture, 5).await;
    let stale = fixture.store.tasks.finish(vec![finish(&claimed[2], success())]).await;
    assert_eq!(fact_kinds(stale[0].as_ref().unwrap().as_ref()), [FactKind::TaskSucceeded]);

    let finishes = claimed.iter().map(|claimed| finish(claimed, success())).collect();
    let ended = fixture.store.tasks.finish(finishes).await;
    let ended: Vec<_> = ended.into_iter().map(Result::unwrap).collect();
    assert_eq!(ended[2], None, "a stale outcome among others is discarded");
    let mut seen = [(fixture.user, 2), (bob, 1)];
    for (claimed, facts) in claimed.iter().zip(&ended) {
        let Some(facts) = facts else { continue };
        assert_eq!((facts.user, facts.facts[0].task), (claimed.user, Some(claimed.id)));
        for fact in &facts.facts {
            let (_, seq) = seen.iter_mut().find(|(user, _)| *user == facts.user).unwrap();
            *seq += 1;
            assert_eq!(fact.seq, *seq);
        }
    }
    assert_eq!(fact_kinds(ended[4].as_ref()).last(), Some(&FactKind::JobFinished));
    let job = fixture.store.jobs.job(bob, bobs).await.unwrap();
    assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 2));
    fixture.assert_consistent().await;
}

pub async fn a_failing_finish_does_not_affect_the_rest_of_its_batch(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 4)).await.unwrap().job.id;
    let claimed = claim(&fixture, 3).await;
    // The attempt exists already, so the claim of row 1 can't be finished.
    fixture
        .execute(
            "INSERT INTO attempts (task_id, fence, number, started_at, ended_at, worker, outcome) \
             SELECT id, fence, 1, 0, 0, 'x', '{}' FROM tasks WHERE row_no = 1",
        )
        .await;
    let finishes = claimed.iter().map(|claimed| finish(claimed, success())).collect();
    let ended = fixture.store.tasks.finish(finishes).await;
    let is_saved: Vec<_> = ended.iter().map(Result::is_ok).collect();
    assert_eq!(is_saved, [true, false, true]);
    let counts = fixture.store.jobs.job(fixture.user, job).await.unwrap().counts;
    assert_eq!((counts.open, counts.succeeded), (2, 2));

    // It also does not stop the reaper from taking back the task of another lost
    // worker.
    let neighbour = fixture.claim_next().await.unwrap();
    fixture.clock.advance(DEFAULT_LEASE_MS);
    let facts = fixture.store.tasks.reap_expired_leases(false).await.unwrap();
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].facts[0].task, Some(neighbour.id));
    fixture.assert_consistent().await;
}

pub async fn a_claim_is_finished_only_once(fixture: StoreFixture) {
    fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap();
    let lost = fixture.claim_next().await.unwrap();
    fixture.clock.advance(DEFAULT_LEASE_MS);
    fixture.store.tasks.reap_expired_leases(false).await.unwrap();
    let claimed = loop {
        let claimed = fixture.claim_next().await.unwrap();
        if claimed.id == lost.id {
            break claimed;
        }
    };
    // The stale outcome of the same task comes first and does no harm.
    let ended =
        fixture.store.tasks.finish(vec![finish(&lost, success()), finish(&claimed, retry())]).await;
    assert!(matches!(&ended[..], [Ok(None), Ok(Some(_))]), "{ended:?}");
    fixture.clock.advance(2_000);
    let claimed = fixture.claim_next().await.unwrap();
    let failed = Err(AttemptError::Failed(outcome("rejected")));
    let twice = vec![finish(&claimed, success()), finish(&claimed, failed)];
    let ended = fixture.store.tasks.finish(twice).await;
    assert_eq!(fact_kinds(ended[0].as_ref().unwrap().as_ref()), [FactKind::TaskSucceeded]);
    assert!(matches!(ended[1], Ok(None)));
    assert!(fixture.store.tasks.finish(Vec::new()).await.is_empty());
    fixture.assert_consistent().await;
}

/// Returns the name of a claim's result.
fn claim_name(claim: &Claim) -> &'static str {
    match claim {
        Claim::Claimed(_) => "claimed",
        Claim::KeyInUse => "key in use",
        Claim::Superseded(_) => "superseded",
        Claim::NotClaimable => "not claimable",
    }
}

pub async fn a_batch_claim_reports_each_task_separately(fixture: StoreFixture) {
    let store = &fixture.store;
    // An older task of SKU-0 waits until a newer one has succeeded; then come two
    // of SKU-1.
    let older =
        store.tasks.accept(new_job(fixture.user, vec![task("SKU-0", 9)])).await.unwrap().job.id;
    let old = store.jobs.tasks(fixture.user, older, None, 1).await.unwrap()[0].id;
    store.tasks.control_job(fixture.user, older, JobControl::Pause).await.unwrap();
    fixture.clock.advance(1);
    store.tasks.accept(new_job(fixture.user, vec![task("SKU-0", 0)])).await.unwrap();
    let newer = fixture.claim_next().await.unwrap();
    fixture.succeed(&newer).await;
    store.tasks.control_job(fixture.user, older, JobControl::Resume).await.unwrap();
    store
        .tasks
        .accept(new_job(fixture.user, vec![task("SKU-1", 0), task("SKU-2", 1)]))
        .await
        .unwrap();
    store.tasks.accept(new_job(fixture.user, vec![task("SKU-1", 0)])).await.unwrap();
    store.tasks.accept(new_job(fixture.user, vec![task("SKU-4", 0)])).await.unwrap();
    let paused =
        store.tasks.accept(new_job(fixture.user, vec![task("SKU-3", 0)])).await.unwrap().job.id;
    let due = store.tasks.due_tasks(QUEUE, 10, &RoundRobin::default()).await.unwrap().tasks;
    assert_eq!(due.len(), 6);
    store.tasks.control_job(fixture.user, paused, JobControl::Pause).await.unwrap();

    // The delivery of SKU-4 is stale.
    let stale = |due: &CommandMessage| if sku(&due.body) == "SKU-4" { 77 } else { due.fence };
    let mut batch: Vec<_> = due.iter().map(|due| (due.task, stale(due))).collect();
    batch.push(batch[0]);
    batch.push((batch[1].0, 77));
    let claims = store.tasks.claim_batch(&batch, "w1").await;
    let claims: Vec<_> = claims.into_iter().map(Result::unwrap).collect();
    let name_and_claim = |n: usize| (sku(&due[n].body), claim_name(&claims[n]));
    let mut actual: Vec<_> = (0..6).map(name_and_claim).collect();
    actual.sort_unstable();
    assert_eq!(
        actual,
        [
            ("SKU-0", "superseded"),
            ("SKU-1", "claimed"),
            ("SKU-1", "key in use"),
            ("SKU-2", "claimed"),
            ("SKU-3", "not claimable"),
            ("SKU-4", "not claimable"),
        ]
    );
    assert_eq!(
        [claim_name(&claims[6]), claim_name(&claims[7])],
        ["not claimable"; 2],
        "a duplicate, a stale one"
    );
    let running = store.jobs.running_task_ids(fixture.user).await.unwrap().len();
    assert_eq!(running, 2, "every claimed task is in a result");
    let cancelled = store.jobs.task(fixture.user, old).await.unwrap().task;
    assert_eq!(cancelled.state, TaskState::Cancelled);
    assert!(store.tasks.claim_batch(&[], "w1").await.is_empty());
    for claim in claims {
        let Claim::Claimed(claimed) = claim else { continue };
        assert_eq!(fixture.succeed(&claimed).await[0], FactKind::TaskSucceeded);
    }
    fixture.assert_consistent().await;
}

fn sku(body: &serde_json::Value) -> &str {
    body["product"]["sku"].as_str().unwrap()
}
