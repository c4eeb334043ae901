//! The state machine of tasks: every change of a task and what goes with it. (Only
//! [`rebase_timestamps`](super::Database::rebase_timestamps) also writes to tasks: it
//! repairs their times after the clock was set back.)
//!
//! | change | from → to | raises the fence | made by |
//! | --- | --- | --- | --- |
//! | created with its job | → queued | | [`write::insert_tasks`] |
//! | created by a success | → queued, or cancelled if its job is being cancelled | | [`write::insert_follow_ups`] |
//! | marked as published | queued → queued | | [`write::mark_published`] |
//! | claimed | queued → running | yes | [`write::start_tasks`] |
//! | lease renewed | running → running | | [`write::renew_lease`] |
//! | ended, or put back | running → any | yes | [`apply_transitions`] |
//! | put back while its job is being cancelled | running → cancelled, or queued if it may have had an effect | yes | [`apply_transitions`] |
//! | deferred | queued → queued | yes | [`apply_transitions`] |
//! | superseded by a newer success | queued → cancelled, if it can't have had an effect | yes | [`apply_transitions`] |
//! | resolved by a person | needs review → queued, succeeded | yes | [`apply_transitions`] |
//! | job cancelled | queued → cancelled, or queued if it may have had an effect | yes | [`bulk::cancel_queued_tasks`] |
//! | queued again by a person | failed, rejected, cancelled → queued | yes | [`bulk::requeue_ended_tasks`] |
//! | edited by an admin | failed, rejected → same | yes | [`write::replace_body`] |
//! | published again | queued → queued | yes | [`write::unpublish_tasks`], [`bulk::unpublish_job_tasks`] |
//! | pruned | ended → | | [`bulk::delete_tasks`] |
//!
//! A raised fence makes earlier deliveries and claims stale. A transition, the job's
//! counters, the end of the job and the facts that report them are one commit.
//!
//! `cancelled` says that the task had no effect, so a cancel never ends one that may have had
//! an effect: one whose outcome is unknown, or whose handler has saved a checkpoint, such as
//! a machine that starts. Such a task stays queued, is due at once, and is claimed with
//! `only_reconcile`, as is one that a newer success has superseded. It succeeds if its effect
//! has happened, is cancelled if it has not, and needs review if nobody can tell within its
//! attempts.

pub(super) mod bulk;
mod facts;
pub(super) mod job;
pub(super) mod write;

use super::{
    Database, Error, NewTask, UserFacts,
    job_queues::{self, JobQueueChanges},
    journal::{self, FactDraft},
    query_all,
    row::{FromRow, Row, missing},
    row_set::{MAX_ROWS_PER_STATEMENT, id_list, is_one_of},
};
use crate::trace;
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Outcome, Task, WaitingFor},
    state::{Effect, JobState, TaskState},
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
    /// Time since which the outcome of a call is unknown, UTC ms.
    pub unknown_since: Option<i64>,
    /// Whether a handler has saved a checkpoint, after it had started something.
    pub has_checkpoint: bool,
    pub started_at: Option<i64>,
    pub lease_until: Option<i64>,
    /// Trace of what caused the task.
    pub traceparent: Option<String>,
}

/// Columns of a [`LockedTask`].
pub(super) const LOCKED_TASK_COLUMNS: &str = "id, job_id, user_id, queue, channel, state, fence, \
    attempt, lease_losses, unknown_since, started_at, lease_until, traceparent, \
    CAST(CASE WHEN checkpoint IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_checkpoint";

/// Condition on tasks: the task may have had an effect, so that a cancel does not end it.
pub(super) const MAY_HAVE_EFFECT: &str = "(unknown_since IS NOT NULL OR checkpoint IS NOT NULL)";

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
            unknown_since: row.get("unknown_since")?,
            has_checkpoint: row.get("has_checkpoint")?,
            started_at: row.get("started_at")?,
            lease_until: row.get("lease_until")?,
            traceparent: row.get("traceparent")?,
        })
    }
}

impl LockedTask {
    /// Whether the task may have had an effect; as [`MAY_HAVE_EFFECT`].
    pub const fn may_have_effect(&self) -> bool {
        self.unknown_since.is_some() || self.has_checkpoint
    }

    /// Whether the task may have had an effect once it is put back by `transition`.
    const fn may_have_effect_after(&self, transition: &Transition) -> bool {
        let has_checkpoint = self.has_checkpoint || transition.checkpoint.is_some();
        transition.unknown_since.is_some() || (has_checkpoint && !transition.starts_over)
    }

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
    /// What a success changed at the service, where that is known.
    pub effect: Option<Effect>,
    pub waiting_for: Option<WaitingFor>,
    /// Time from which a queued task is due, UTC ms.
    pub run_after: i64,
    /// Time since which the outcome of a call is unknown, UTC ms.
    pub unknown_since: Option<i64>,
    /// New checkpoint; `None` keeps the last one.
    pub checkpoint: Option<Json>,
    /// Whether the attempt is subtracted from the task's attempts again, because it
    /// does not count as one.
    pub refund_attempt: bool,
    /// Whether the task forgets its attempts, its checkpoint and its last outcome, known or
    /// unknown.
    pub starts_over: bool,
    /// Lost leases in a row after this transition.
    pub lease_losses: i64,
    /// The worker, where the attempt is recorded in `attempts`.
    pub recorded_worker: Option<String>,
    pub follow_ups: Vec<NewTask>,
    /// Trace of the attempt that caused it. Without one, its facts get the span that runs at the
    /// moment, or what caused the task.
    pub traceparent: Option<String>,
}

impl Transition {
    /// Returns the plain transition to `state`.
    pub fn to(state: TaskState) -> Self {
        Self {
            state,
            outcome: None,
            effect: None,
            waiting_for: None,
            run_after: 0,
            unknown_since: None,
            checkpoint: None,
            refund_attempt: false,
            starts_over: false,
            lease_losses: 0,
            recorded_worker: None,
            follow_ups: Vec::new(),
            traceparent: None,
        }
    }

    /// Returns the transition that keeps a queued task until `run_after`, UTC ms.
    pub fn defer(task: &LockedTask, run_after: i64, waiting_for: WaitingFor) -> Self {
        Self {
            waiting_for: Some(waiting_for),
            run_after,
            unknown_since: task.unknown_since,
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
        // A person's retry of one task may come after its job has ended.
        if !transition.state.is_terminal() {
            job::reopen_job(job);
        }
        // The job was cancelled while the attempt ran: nothing is tried again.
        if job.cancel_requested
            && transition.state == TaskState::Queued
            && !locked.may_have_effect_after(transition)
        {
            transition.state = TaskState::Cancelled;
            transition.waiting_for = None;
        }
    }
    write::insert_attempts(tx, &transitions, now).await?;
    let mut updated = write::update_tasks(tx, &transitions, now).await?;
    let mut created = write::insert_follow_ups(tx, &mut transitions, &jobs, now).await?;
    let mut changes = Changes::default();
    for (locked, transition) in transitions {
        let task = updated.remove(&locked.task).ok_or_else(|| missing("task"))?;
        let created = created.remove(&locked.task).unwrap_or_default();
        changes.add(&mut jobs, locked, transition, (task, created), now)?;
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
        transition: Transition,
        (task, created): (Task, Vec<(String, Task)>),
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
            queue.lower_ready_at(transition.run_after);
        }
        let mut count = 0;
        if !is_deferred {
            let job = job.ok_or_else(|| missing("job"))?;
            job.counts.shift(Some(locked.state), Some(task.state), 1);
            if let Some(effect) = task.effect {
                job.counts.add_effect(effect, 1);
            }
            let is_finished = job::settle_job(job, now);
            let created = created.into_iter().map(|(_, task)| task).collect();
            let cause = transition.traceparent.or_else(trace::current_traceparent);
            let cause = cause.or(locked.traceparent);
            let drafts = facts::transition_facts(task, created, job, is_finished, cause.as_deref());
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
