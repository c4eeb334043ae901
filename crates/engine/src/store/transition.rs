//! The state machine of tasks: every change of a task's row and what goes with it.
//!
//! | change | from → to | made by |
//! | --- | --- | --- |
//! | created | → queued | [`write::insert_tasks`]: a new job, or a follow-up |
//! | claimed | queued → running | [`write::start_tasks`] |
//! | ended, or put back | running → any | [`apply_transitions`] |
//! | deferred | queued → queued | [`apply_transitions`] |
//! | superseded | queued → cancelled | [`apply_transitions`] |
//! | resolved by a person | needs review → queued, succeeded | [`apply_transitions`] |
//! | job cancelled | queued → cancelled | [`bulk::cancel_queued_tasks`] |
//! | failed ones retried | failed → queued | [`bulk::requeue_failed_tasks`] |
//! | published again | queued → queued | [`write::unpublish_tasks`] |
//! | pruned | ended → | [`bulk::delete_tasks`] |
//!
//! Each of them but a mark as published and a renewed lease raises the task's fence,
//! which makes earlier deliveries and claims stale. A transition, the job's counters,
//! the end of the job and the facts that report them are one commit.

pub(super) mod bulk;
mod facts;
pub(super) mod job;
pub(super) mod write;

use super::{
    Database, Error, NewTask, UserFacts,
    job_queues::{self, JobQueueChanges},
    journal::{self, FactDraft},
    query_all,
    row::{FromRow, Row},
    row_set::{MAX_ROWS_PER_STATEMENT, id_list, is_one_of},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Outcome, Task, WaitingFor},
    state::{JobState, TaskState},
};
use sea_orm::ConnectionTrait;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A task, and the fence that it had when it was read.
pub(super) type FencedTask = (TaskId, i64);

/// A task whose row this transaction has locked.
pub(super) struct LockedTask {
    pub task: TaskId,
    pub job: JobId,
    pub user: UserId,
    pub queue: String,
    pub channel: Option<String>,
    pub state: TaskState,
    pub fence: i64,
    pub attempt: i64,
    pub lease_losses: i64,
    pub outcome_unknown: bool,
    pub started_at: Option<i64>,
    pub lease_until: Option<i64>,
}

/// Columns of a [`LockedTask`].
pub(super) const LOCKED_TASK_COLUMNS: &str = "id, job_id, user_id, queue, channel, state, fence, \
    attempt, lease_losses, outcome_unknown, started_at, lease_until";

impl FromRow for LockedTask {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            task: row.get("id")?,
            job: row.get("job_id")?,
            user: row.get("user_id")?,
            queue: row.get("queue")?,
            channel: row.get("channel")?,
            state: row.get("state")?,
            fence: row.get("fence")?,
            attempt: row.get("attempt")?,
            lease_losses: row.get("lease_losses")?,
            outcome_unknown: row.get("outcome_unknown")?,
            started_at: row.get("started_at")?,
            lease_until: row.get("lease_until")?,
        })
    }
}

impl LockedTask {
    /// Whether the task was deferred by `transition`: it stays queued, and there is
    /// nothing to report.
    fn is_deferred_by(&self, transition: &Transition) -> bool {
        self.state == TaskState::Queued && transition.state == TaskState::Queued
    }
}

/// The new state of a task and what goes with it.
pub(super) struct Transition {
    pub state: TaskState,
    /// New outcome; `None` keeps the last one.
    pub outcome: Option<Outcome>,
    pub waiting_for: Option<WaitingFor>,
    /// Time from which a queued task is due, UTC ms.
    pub run_after: i64,
    pub outcome_unknown: bool,
    /// New checkpoint; `None` keeps the last one.
    pub checkpoint: Option<Json>,
    /// Whether the attempt is subtracted from the task's attempts again, because it
    /// does not count as one.
    pub refund_attempt: bool,
    /// Whether the task forgets its attempts, its checkpoint and its last outcome.
    pub starts_over: bool,
    /// Lost leases in a row after this transition.
    pub lease_losses: i64,
    /// The worker, where the attempt is recorded in `attempts`.
    pub recorded_worker: Option<String>,
    pub follow_ups: Vec<NewTask>,
}

impl Transition {
    /// Returns the plain transition to `state`.
    pub fn to(state: TaskState) -> Self {
        Self {
            state,
            outcome: None,
            waiting_for: None,
            run_after: 0,
            outcome_unknown: false,
            checkpoint: None,
            refund_attempt: false,
            starts_over: false,
            lease_losses: 0,
            recorded_worker: None,
            follow_ups: Vec::new(),
        }
    }

    /// Returns the transition that keeps a queued task until `run_after`, UTC ms.
    pub fn defer(task: &LockedTask, run_after: i64, waiting_for: WaitingFor) -> Self {
        Self {
            waiting_for: Some(waiting_for),
            run_after,
            outcome_unknown: task.outcome_unknown,
            lease_losses: task.lease_losses,
            ..Self::to(TaskState::Queued)
        }
    }
}

/// Locks the rows of `tasks` that are in state `from` and still have that fence,
/// in the order of their ids. Every transaction that locks several tasks uses this
/// order.
pub(super) async fn lock_tasks<C: ConnectionTrait>(
    db: &Database,
    tx: &C,
    from: TaskState,
    tasks: &[FencedTask],
) -> Result<Vec<LockedTask>, Error> {
    let sql = format!(
        "SELECT {LOCKED_TASK_COLUMNS} FROM tasks WHERE {} AND state = $2 ORDER BY id{}",
        is_one_of(tx, "id", 1),
        db.for_update()
    );
    let mut locked = Vec::with_capacity(tasks.len());
    for ids in sorted_ids(tasks).chunks(MAX_ROWS_PER_STATEMENT) {
        let values = [id_list(ids.iter().copied()), from.as_str().into()];
        for found in query_all(tx, &sql, values).await? {
            locked.push(LockedTask::from_row(&found)?);
        }
    }
    let known: HashSet<_> = tasks.iter().copied().collect();
    locked.retain(|locked| known.contains(&(locked.task, locked.fence)));
    Ok(locked)
}

/// Returns the ids in the order in which their rows are locked, without duplicates.
pub(super) fn sorted_ids(tasks: &[FencedTask]) -> Vec<TaskId> {
    let mut ids: Vec<_> = tasks.iter().map(|(task, _)| *task).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Applies transitions to locked tasks, and returns the facts of each, in the order
/// of `transitions`. A job's counters and a user's `seq` are written once.
pub(super) async fn apply_transitions<C: ConnectionTrait>(
    db: &Database,
    tx: &C,
    mut transitions: Vec<(LockedTask, Transition)>,
    now: i64,
) -> Result<Vec<UserFacts>, Error> {
    let reported = transitions.iter().filter(|(locked, next)| !locked.is_deferred_by(next));
    let mut jobs = job::lock_jobs(db, tx, reported.map(|(locked, _)| locked.job)).await?;
    for (locked, transition) in &mut transitions {
        let Some(job) = jobs.get_mut(&locked.job) else { continue };
        if !transition.state.is_terminal() {
            job::reopen_job(job);
        }
        if job.cancel_requested && transition.state == TaskState::Queued {
            transition.state = TaskState::Cancelled;
            transition.waiting_for = None;
        }
    }
    write::insert_attempts(tx, &transitions, now).await?;
    let mut updated = write::update_tasks(tx, &transitions, now).await?;
    let mut created = write::insert_follow_ups(tx, &mut transitions, &jobs, now).await?;
    let mut changes = Changes::default();
    for (locked, transition) in transitions {
        let task = updated.remove(&locked.task).ok_or(Error::NotFound)?;
        let created = created.remove(&locked.task).unwrap_or_default();
        changes.add(&mut jobs, locked, transition.run_after, task, created, now)?;
    }
    changes.save(db, tx, &jobs, now).await
}

/// What transitions change beside their tasks.
#[derive(Default)]
struct Changes {
    queues: JobQueueChanges,
    drafts: BTreeMap<UserId, Vec<FactDraft>>,
    /// User and number of facts of each transition.
    fact_counts: Vec<(UserId, usize)>,
}

impl Changes {
    /// Adds what the transition of `locked` to `task` changes. Its follow-ups count
    /// before it does, so that they keep the job open.
    fn add(
        &mut self,
        jobs: &mut BTreeMap<JobId, Job>,
        locked: LockedTask,
        run_after: i64,
        task: Task,
        created: Vec<(String, Task)>,
        now: i64,
    ) -> Result<(), Error> {
        let is_deferred = locked.state == TaskState::Queued && task.state == TaskState::Queued;
        let mut job = jobs.get_mut(&locked.job);
        let paused = job.as_ref().is_some_and(|job| job.paused);
        for (queue, task) in &created {
            if let Some(job) = &mut job {
                job.counts.shift(None, Some(task.state), 1);
            }
            if !task.state.is_terminal() {
                let queue = self.queues.entry((locked.job, queue.clone())).or_default();
                queue.add(locked.user, task.channel.as_ref(), paused, 1);
                queue.lower_ready_at(now);
            }
        }
        let queue = self.queues.entry((locked.job, locked.queue)).or_default();
        let open = i64::from(!task.state.is_terminal()) - i64::from(!locked.state.is_terminal());
        queue.add(locked.user, locked.channel.as_ref(), paused, open);
        if task.state == TaskState::Queued {
            queue.lower_ready_at(run_after);
        }
        let mut count = 0;
        if !is_deferred {
            let job = job.ok_or(Error::NotFound)?;
            job.counts.shift(Some(locked.state), Some(task.state), 1);
            let is_finished = job::settle_job(job, now);
            let created = created.into_iter().map(|(_, task)| task).collect();
            let drafts = facts::transition_facts(task, created, job, is_finished);
            count = drafts.len();
            self.drafts.entry(locked.user).or_default().extend(drafts);
        }
        self.fact_counts.push((locked.user, count));
        Ok(())
    }

    /// Writes the changes, and returns the facts of each transition. The order is
    /// that of the locks; see [`job_queues`].
    async fn save<C: ConnectionTrait>(
        self,
        db: &Database,
        tx: &C,
        jobs: &BTreeMap<JobId, Job>,
        now: i64,
    ) -> Result<Vec<UserFacts>, Error> {
        job::save_jobs(tx, jobs.values()).await?;
        let counters = job_queues::save_job_queues(tx, &self.queues, now).await?;
        let ended = jobs.values().filter(|job| job.state != JobState::Running).map(|job| job.id);
        job_queues::delete_job_queues(tx, &ended.collect::<Vec<_>>()).await?;
        let facts = journal::append_facts_for_users(db, tx, now, self.drafts).await?;
        job_queues::save_user_queues(tx, counters).await?;
        let mut facts: HashMap<_, _> =
            facts.into_iter().map(|(user, facts)| (user, facts.into_iter())).collect();
        Ok(self
            .fact_counts
            .into_iter()
            .map(|(user, count)| {
                let facts = facts.get_mut(&user).map(|facts| facts.take(count).collect());
                UserFacts { user, facts: facts.unwrap_or_default() }
            })
            .collect())
    }
}
