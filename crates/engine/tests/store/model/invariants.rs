//! Invariants of every state, and of every step from one state to the next.

use super::snapshot::{Job, Snapshot, Task};
use contract::{
    fact::{Fact, FactKind},
    state::{Counts, Effect, JobState, TaskState},
};
use engine::store::{MAX_ATTEMPTS, MAX_LEASE_LOSSES};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Source of a step; only some may change what has ended, and only one deletes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepSource {
    System,
    Retry,
    Resolve,
    Pruner,
}

/// Checks that counters match the rows and job states match the counters, and that
/// no two tasks of one key run at once.
pub fn check_state(now: &Snapshot) {
    check_queue_counters(now);
    for (id, job) in &now.jobs {
        let rows: Vec<&Task> = now.tasks.values().filter(|task| task.job == *id).collect();
        assert_eq!(job.counts, count_by_state(&rows), "counters of job {id}");
        let c = &job.counts;
        assert_eq!(c.total, sum_of_states(c));
        assert!(c.created + c.updated + c.unchanged <= c.succeeded, "{c:?}");
        if c.open == 0 {
            assert_eq!(job.state, c.final_state(job.cancel_requested), "verdict of job {id}");
            assert!(job.finished_at.is_some() && !job.paused, "an ended job: {job:?}");
        } else {
            assert_eq!((job.state, job.finished_at), (JobState::Running, None), "job {id}");
            let is_waiting =
                |task: &&&Task| task.state == TaskState::Queued && !task.may_have_effect();
            let waiting = rows.iter().find(is_waiting);
            assert!(!job.cancel_requested || waiting.is_none(), "in a cancelled job: {waiting:?}");
            assert!(!(job.cancel_requested && job.paused), "cancel overrides pause");
        }
    }
    let mut running = HashSet::new();
    for (id, task) in &now.tasks {
        assert_eq!(task.user, now.jobs[&task.job].user);
        let runs = task.state == TaskState::Running;
        assert_eq!((task.lease_owner.is_some(), task.lease_until.is_some()), (runs, runs), "{id}");
        assert!(
            !runs || running.insert((&task.kind, &task.key)),
            "two tasks of key {} run",
            task.key
        );
        assert!((0..=MAX_ATTEMPTS).contains(&task.attempt), "{task:?}");
        assert!(
            task.lease_losses < MAX_LEASE_LOSSES || task.state == TaskState::Failed,
            "{task:?}"
        );
        if task.state == TaskState::Cancelled {
            assert!(!task.may_have_effect(), "cancelled, and perhaps sent: {task:?}");
        }
        assert!(task.effect.is_none() || task.state == TaskState::Succeeded, "{task:?}");
        if task.state == TaskState::Queued {
            assert!(task.attempt < MAX_ATTEMPTS, "no attempts left: {task:?}");
        }
    }
}

/// Checks that the counters of queues match the rows, and that the relay finds
/// every task that waits for it.
fn check_queue_counters(now: &Snapshot) {
    let mut by_job: BTreeMap<(Uuid, String), i64> = BTreeMap::new();
    for task in now.tasks.values().filter(|task| !task.state.is_terminal()) {
        *by_job.entry((task.job, task.queue.clone())).or_default() += 1;
        let job = &now.jobs[&task.job];
        let waits = task.state == TaskState::Queued && task.published_at.is_none();
        if waits && !job.paused {
            let row = &now.job_queues[&(task.job, task.queue.clone())];
            let seen = row.ready || row.ready_at.is_some_and(|at| at <= task.run_after);
            assert!(seen, "the relay does not see {task:?}: {row:?}");
        }
    }
    let known = now.job_queues.iter().filter(|(_, row)| row.open != 0);
    let known: BTreeMap<_, _> = known.map(|(key, row)| (key.clone(), row.open)).collect();
    assert_eq!(known, by_job, "open tasks by job and queue");
    let mut by_user: BTreeMap<(Uuid, String), (i64, i64, i64)> = BTreeMap::new();
    for ((job, queue), open) in by_job {
        let job = &now.jobs[&job];
        let sum = by_user.entry((job.user, queue)).or_default();
        sum.0 += open;
        if !job.paused {
            sum.1 += 1;
            sum.2 += open;
        }
    }
    assert_eq!(now.user_queues, by_user, "open tasks by user and queue");
}

/// Returns the sum of the counters that a job's tasks are divided into.
fn sum_of_states(c: &Counts) -> u32 {
    c.open + c.succeeded + c.failed + c.rejected + c.cancelled + c.needs_review
}

fn count_by_state(rows: &[&Task]) -> Counts {
    let count = |states: &[TaskState]| {
        u32::try_from(rows.iter().filter(|task| states.contains(&task.state)).count()).unwrap()
    };
    let effects = |effect| {
        u32::try_from(rows.iter().filter(|task| task.effect == Some(effect)).count()).unwrap()
    };
    Counts {
        total: u32::try_from(rows.len()).unwrap(),
        open: count(&[TaskState::Queued, TaskState::Running]),
        succeeded: count(&[TaskState::Succeeded]),
        failed: count(&[TaskState::Failed]),
        rejected: count(&[TaskState::Rejected]),
        cancelled: count(&[TaskState::Cancelled]),
        needs_review: count(&[TaskState::NeedsReview]),
        created: effects(Effect::Created),
        updated: effects(Effect::Updated),
        unchanged: effects(Effect::Unchanged),
    }
}

/// Checks that nothing disappears but by the pruner, fences only grow, and what has ended changes
/// only by a user's action.
pub fn check_transition(before: &Snapshot, now: &Snapshot, source: StepSource) {
    let is_kept = |job: &Uuid| {
        let is_deletable = before.jobs[job].state != JobState::Running;
        let may_be_missing = source == StepSource::Pruner && is_deletable;
        assert!(may_be_missing || now.jobs.contains_key(job), "job {job} is missing");
        now.jobs.contains_key(job)
    };
    for (id, old) in before.tasks.iter().filter(|(_, old)| is_kept(&old.job)) {
        let new = &now.tasks[id];
        assert!(new.fence >= old.fence, "the fence of {id} fell");
        assert!(new.attempt_count >= old.attempt_count, "an attempt of {id} is missing");
        if new.state != old.state {
            assert!(new.fence > old.fence, "{id} changed under its old fence: {old:?} {new:?}");
        }
        if old.state.is_terminal() && new != old {
            let allowed = match source {
                StepSource::System | StepSource::Pruner => false,
                StepSource::Retry => {
                    let may_be_retried = matches!(
                        old.state,
                        TaskState::Failed | TaskState::Rejected | TaskState::Cancelled
                    );
                    may_be_retried && new.state == TaskState::Queued
                }
                StepSource::Resolve => {
                    old.state == TaskState::NeedsReview
                        && matches!(new.state, TaskState::Queued | TaskState::Succeeded)
                }
            };
            assert!(allowed, "{id} had ended and was changed by {source:?}: {old:?} {new:?}");
        }
        if old.state == TaskState::Running && new.state != TaskState::Running {
            assert_ne!(new.lease_until, old.lease_until);
        }
    }
    for (id, old) in before.jobs.iter().filter(|(id, _)| is_kept(id)) {
        let new = &now.jobs[id];
        let is_system = matches!(source, StepSource::System | StepSource::Pruner);
        if old.state != JobState::Running && is_system {
            assert_eq!(new, old, "job {id} had ended");
        }
    }
    for (user, head) in &before.heads {
        assert!(now.heads[user] >= *head, "the journal of {user} fell back");
    }
}

/// Checks that the facts of one step report every change correctly. `facts_by_user`
/// has each user's journal after its old head.
pub fn check_facts(
    before: &Snapshot,
    now: &Snapshot,
    facts_by_user: &BTreeMap<Uuid, Vec<Fact>>,
    at: i64,
) {
    let mut last: BTreeMap<Uuid, &Fact> = BTreeMap::new();
    for (user, facts) in facts_by_user {
        let old = before.heads.get(user).copied().unwrap_or(0);
        let seqs: Vec<_> = facts.iter().map(|fact| fact.seq).collect();
        assert_eq!(seqs, (old + 1..=now.heads[user]).collect::<Vec<_>>(), "a gap or a repetition");
        for fact in facts {
            assert_eq!(fact.at, at);
            if let Some(job) = &fact.data.job {
                assert_eq!(now.jobs[&job.id.0].user, *user, "a fact for the wrong user");
                let c = &job.counts;
                assert_eq!(c.total, sum_of_states(c), "{fact:?}");
                last.insert(job.id.0, fact);
            }
            if let Some(task) = &fact.data.task {
                let row = &now.tasks[&task.id.0];
                assert_eq!((task.state, i64::from(task.attempt)), (row.state, row.attempt));
                assert_eq!(
                    (task.outcome_unknown, task.effect, task.cause.map(|id| id.0)),
                    (row.outcome_unknown, row.effect, row.cause)
                );
            }
        }
    }
    for (id, job) in &now.jobs {
        match last.get(id) {
            Some(fact) => assert_fact_matches_job(fact, job),
            None => assert_eq!(before.jobs.get(id), Some(job), "job {id} changed without a fact"),
        }
        let finished = last.get(id).is_some_and(|fact| fact.kind == FactKind::JobFinished);
        let ran = before.jobs.get(id).is_some_and(|job| job.state == JobState::Running);
        assert_eq!(finished, ran && job.state != JobState::Running, "the end of job {id}");
    }
    for (id, task) in &now.tasks {
        let was = before.tasks.get(id).map(|task| task.state);
        let needs_no_fact = was == Some(task.state) || task.state == TaskState::Running;
        assert!(
            needs_no_fact || last.contains_key(&task.job),
            "{id} became {} without a fact",
            task.state
        );
    }
}

/// Checks that the last fact about a job has its current state, from which clients
/// continue.
fn assert_fact_matches_job(fact: &Fact, job: &Job) {
    let Some(fact_job) = &fact.data.job else { return };
    assert_eq!(
        (
            fact_job.counts,
            fact_job.state,
            fact_job.paused,
            fact_job.cancel_requested,
            fact_job.finished_at
        ),
        (job.counts, job.state, job.paused, job.cancel_requested, job.finished_at),
        "{fact:?}"
    );
}
