//! Transitions of tasks: new state, attempt, follow-ups, counters and facts in one
//! commit, for one task or for many.

use super::{
    Error, NewTask, Store, UserFacts,
    accept::insert_tasks,
    execute,
    job_queues::{self, JobQueueChange, JobQueueChanges},
    journal::{self, FactDraft},
    placeholder_rows, placeholders, power_of_two_chunks, query_all, query_one, row,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Outcome, Task, WaitingFor},
    fact::{FactData, FactKind},
    state::{JobState, TaskState},
};
use sea_orm::{ConnectionTrait, Value};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};

/// Maximum number of rows of one statement; see `accept::MAX_ROWS_PER_STATEMENT`.
const MAX_ROWS_PER_STATEMENT: usize = 32;

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

/// The new state of a task and what goes with it.
pub(super) struct Transition {
    pub state: TaskState,
    pub outcome: Option<Outcome>,
    pub waiting_for: Option<WaitingFor>,
    pub run_after: i64,
    pub outcome_unknown: bool,
    pub checkpoint: Option<Json>,
    /// Whether the attempt is subtracted from the task's attempts again, because it
    /// does not count as one.
    pub refund_attempt: bool,
    /// Lost leases in a row after this transition.
    pub lease_losses: i64,
    /// The worker, where the attempt is recorded in `attempts`.
    pub recorded_worker: Option<String>,
    pub follow_ups: Vec<NewTask>,
}

impl Transition {
    pub fn to(state: TaskState) -> Self {
        Self {
            state,
            outcome: None,
            waiting_for: None,
            run_after: 0,
            outcome_unknown: false,
            checkpoint: None,
            refund_attempt: false,
            lease_losses: 0,
            recorded_worker: None,
            follow_ups: Vec::new(),
        }
    }
}

/// Locks the rows of `claims` that are in state `from` and still have that fence,
/// in the order of their ids. Every transaction that locks several tasks uses this
/// order.
pub(super) async fn lock_tasks<C: ConnectionTrait>(
    store: &Store,
    tx: &C,
    from: TaskState,
    claims: &[(TaskId, i64)],
) -> Result<Vec<LockedTask>, Error> {
    let mut claims = claims.to_vec();
    claims.sort_unstable();
    claims.dedup();
    let mut locked = Vec::with_capacity(claims.len());
    for chunk in power_of_two_chunks(&claims, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "SELECT id, job_id, user_id, queue, channel, fence, attempt, lease_losses, \
             outcome_unknown, started_at, lease_until FROM tasks \
             WHERE state = $1 AND id IN ({}) ORDER BY id{}",
            placeholders(2, chunk.len()),
            store.for_update()
        );
        let mut values: Vec<Value> = vec![from.as_str().into()];
        values.extend(chunk.iter().map(|(task, _)| Value::from(task.0)));
        for found in query_all(tx, &sql, values).await? {
            let task = LockedTask {
                task: TaskId(found.try_get("", "id")?),
                job: JobId(found.try_get("", "job_id")?),
                user: UserId(found.try_get("", "user_id")?),
                queue: found.try_get("", "queue")?,
                channel: found.try_get("", "channel")?,
                state: from,
                fence: found.try_get("", "fence")?,
                attempt: found.try_get("", "attempt")?,
                lease_losses: found.try_get("", "lease_losses")?,
                outcome_unknown: row::flag(&found, "outcome_unknown")?,
                started_at: found.try_get("", "started_at")?,
                lease_until: found.try_get("", "lease_until")?,
            };
            if chunk.contains(&(task.task, task.fence)) {
                locked.push(task);
            }
        }
    }
    Ok(locked)
}

/// Applies transitions to locked tasks, and returns the facts of each, in the order
/// of `transitions`. A job's counters and a user's `seq` are written once.
pub(super) async fn apply_transitions<C: ConnectionTrait>(
    store: &Store,
    tx: &C,
    transitions: Vec<(LockedTask, Transition)>,
    now: i64,
) -> Result<Vec<UserFacts>, Error> {
    let mut jobs = lock_jobs(store, tx, transitions.iter().map(|(locked, _)| locked.job)).await?;
    let mut transitions = transitions;
    for (locked, transition) in &mut transitions {
        let job = jobs.get(&locked.job).ok_or(Error::NotFound)?;
        if job.cancel_requested && transition.state == TaskState::Queued {
            transition.state = TaskState::Cancelled;
            transition.waiting_for = None;
        }
    }
    insert_attempts(tx, &transitions, now).await?;
    let mut updated = update_tasks(tx, &transitions, now).await?;
    let mut users: BTreeMap<UserId, Vec<FactDraft>> = BTreeMap::new();
    let mut fact_counts = Vec::with_capacity(transitions.len());
    let mut queues = JobQueueChanges::new();
    for (locked, transition) in transitions {
        let job = jobs.get_mut(&locked.job).ok_or(Error::NotFound)?;
        let task = updated.remove(&locked.task).ok_or(Error::NotFound)?;
        let follow_ups = transition.follow_ups;
        let created =
            insert_follow_ups(tx, job, locked.user, &task, follow_ups, now, &mut queues).await?;
        let queue = queues.entry((locked.job, locked.queue)).or_default();
        queue.user = Some(locked.user);
        queue.channel = locked.channel;
        queue.paused = job.paused;
        match task.state {
            TaskState::Queued => queue.lower_ready_at(transition.run_after),
            _ => queue.open -= i64::from(task.state.is_terminal()),
        }
        update_job_after_transition(job, task.state, &created, now);
        let drafts = transition_facts(task, created, job);
        fact_counts.push((locked.user, drafts.len()));
        users.entry(locked.user).or_default().extend(drafts);
    }
    save_jobs(tx, jobs.values()).await?;
    let counters = job_queues::save_job_queues(tx, &queues, now).await?;
    let ended = jobs.values().filter(|job| job.state != JobState::Running).map(|job| job.id);
    job_queues::delete_job_queues(tx, &ended.collect::<Vec<_>>()).await?;
    let facts = journal::append_facts_for_users(store, tx, now, users).await?;
    job_queues::save_user_queues(tx, counters).await?;
    let mut facts: HashMap<_, _> =
        facts.into_iter().map(|(user, facts)| (user, facts.into_iter())).collect();
    Ok(fact_counts
        .into_iter()
        .map(|(user, count)| {
            let facts = facts.get_mut(&user).map(|facts| facts.take(count).collect());
            UserFacts { user, facts: facts.unwrap_or_default() }
        })
        .collect())
}

async fn lock_jobs<C: ConnectionTrait>(
    store: &Store,
    tx: &C,
    ids: impl Iterator<Item = JobId>,
) -> Result<BTreeMap<JobId, Job>, Error> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let mut jobs = BTreeMap::new();
    for chunk in power_of_two_chunks(&ids, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "SELECT {} FROM jobs WHERE id IN ({}) ORDER BY id{}",
            row::JOB_COLUMNS,
            placeholders(1, chunk.len()),
            store.for_update()
        );
        for found in query_all(tx, &sql, chunk.iter().map(|job| Value::from(job.0))).await? {
            let job = row::job(&found)?;
            jobs.insert(job.id, job);
        }
    }
    Ok(jobs)
}

/// Inserts the attempts that are recorded.
async fn insert_attempts<C: ConnectionTrait>(
    tx: &C,
    transitions: &[(LockedTask, Transition)],
    now: i64,
) -> Result<(), Error> {
    let mut attempts = Vec::with_capacity(transitions.len());
    for (locked, transition) in transitions {
        if let (Some(worker), Some(outcome)) = (&transition.recorded_worker, &transition.outcome) {
            attempts.push((locked, worker, row::to_json_text("outcome", outcome)?));
        }
    }
    for part in power_of_two_chunks(&attempts, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "INSERT INTO attempts (task_id, fence, number, started_at, ended_at, worker, outcome) \
             VALUES {}",
            placeholder_rows(part.len(), 7)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 7);
        for (locked, worker, outcome) in part {
            values.extend([
                locked.task.0.into(),
                locked.fence.into(),
                locked.attempt.into(),
                locked.started_at.unwrap_or(now).into(),
                now.into(),
                worker.as_str().into(),
                outcome.as_str().into(),
            ]);
        }
        execute(tx, &sql, values).await?;
    }
    Ok(())
}

/// Writes the new states, and returns the updated tasks.
async fn update_tasks<C: ConnectionTrait>(
    tx: &C,
    transitions: &[(LockedTask, Transition)],
    now: i64,
) -> Result<HashMap<TaskId, Task>, Error> {
    let mut updated = HashMap::with_capacity(transitions.len());
    for part in power_of_two_chunks(transitions, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "WITH new (task_id, new_state, new_outcome, new_waiting_for, new_run_after, \
             new_outcome_unknown, new_checkpoint, new_attempt, new_lease_losses, new_updated_at) \
             AS (VALUES {}) UPDATE tasks SET state = new_state, fence = fence + 1, \
             published_at = NULL, lease_owner = NULL, lease_until = NULL, \
             outcome = COALESCE(new_outcome, outcome), waiting_for = new_waiting_for, \
             run_after = new_run_after, outcome_unknown = new_outcome_unknown, \
             checkpoint = COALESCE(new_checkpoint, checkpoint), attempt = new_attempt, \
             lease_losses = new_lease_losses, updated_at = new_updated_at \
             FROM new WHERE id = task_id RETURNING {}",
            placeholder_rows(part.len(), 10),
            row::TASK_COLUMNS
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 10);
        for (locked, transition) in part {
            let outcome =
                transition.outcome.as_ref().map(|o| row::to_json_text("outcome", o)).transpose()?;
            let waiting = transition.waiting_for.as_ref();
            let waiting = waiting.map(|w| row::to_json_text("waiting_for", w)).transpose()?;
            let refunded =
                i64::from(transition.refund_attempt && locked.state == TaskState::Running);
            values.extend([
                locked.task.0.into(),
                transition.state.as_str().into(),
                outcome.into(),
                waiting.into(),
                transition.run_after.into(),
                i64::from(transition.outcome_unknown).into(),
                transition.checkpoint.as_ref().map(ToString::to_string).into(),
                (locked.attempt - refunded).max(0).into(),
                transition.lease_losses.into(),
                now.into(),
            ]);
        }
        for found in query_all(tx, &sql, values).await? {
            let task = row::task(&found)?;
            updated.insert(task.id, task);
        }
    }
    Ok(updated)
}

/// Inserts the follow-ups that don't exist yet, returns them, and adds the open
/// ones to `queues`.
async fn insert_follow_ups<C: ConnectionTrait>(
    tx: &C,
    job: &Job,
    user: UserId,
    cause: &Task,
    follow_ups: Vec<NewTask>,
    now: i64,
    queues: &mut JobQueueChanges,
) -> Result<Vec<Task>, Error> {
    let state = if job.cancel_requested { "cancelled" } else { "queued" };
    let mut created = Vec::new();
    for task in follow_ups {
        let id = cause.id.follow_up(task.kind, &task.key);
        let rows = [(id, Some(cause.id), task)];
        if insert_tasks(tx, job.id, user, now, state, &rows).await? == 1 {
            if !job.cancel_requested {
                let [(_, _, task)] = &rows;
                let queue: &mut JobQueueChange =
                    queues.entry((job.id, task.queue.clone())).or_default();
                queue.user = Some(user);
                queue.channel.clone_from(&task.channel);
                queue.paused = job.paused;
                queue.open += 1;
                queue.lower_ready_at(now);
            }
            let sql = format!("SELECT {} FROM tasks WHERE id = $1", row::TASK_COLUMNS);
            created.push(row::task(
                &query_one(tx, &sql, [id.0.into()]).await?.ok_or(Error::NotFound)?,
            )?);
        }
    }
    Ok(created)
}

/// Updates the counters, and finishes the job if nothing is open: hence after the
/// follow-ups.
fn update_job_after_transition(job: &mut Job, state: TaskState, created: &[Task], now: i64) {
    let counts = &mut job.counts;
    for task in created {
        counts.total += 1;
        match task.state {
            TaskState::Cancelled => counts.cancelled += 1,
            _ => counts.open += 1,
        }
    }
    match state {
        TaskState::Queued | TaskState::Running => {}
        TaskState::Succeeded => counts.succeeded += 1,
        TaskState::Failed => counts.failed += 1,
        TaskState::Cancelled => counts.cancelled += 1,
        TaskState::NeedsReview => counts.needs_review += 1,
    }
    counts.open -= u32::from(state.is_terminal());
    if counts.open == 0 {
        job.state = counts.final_state(job.cancel_requested);
        job.finished_at = Some(now);
        job.paused = false;
    }
}

/// Writes the columns of a locked job that can change.
pub(super) async fn save_job<C: ConnectionTrait>(tx: &C, job: &Job) -> Result<(), Error> {
    save_jobs(tx, std::iter::once(job)).await
}

/// Writes the columns of locked jobs that can change.
async fn save_jobs<C: ConnectionTrait>(
    tx: &C,
    jobs: impl Iterator<Item = &Job>,
) -> Result<(), Error> {
    let jobs: Vec<_> = jobs.collect();
    for part in power_of_two_chunks(&jobs, MAX_ROWS_PER_STATEMENT) {
        let sql = format!(
            "WITH new (job_id, new_state, new_paused, new_cancel_requested, new_total, new_open, \
             new_succeeded, new_failed, new_cancelled, new_needs_review, new_finished_at) \
             AS (VALUES {}) UPDATE jobs SET state = new_state, paused = new_paused, \
             cancel_requested = new_cancel_requested, total = new_total, open = new_open, \
             succeeded = new_succeeded, failed = new_failed, cancelled = new_cancelled, \
             needs_review = new_needs_review, finished_at = new_finished_at \
             FROM new WHERE id = job_id",
            placeholder_rows(part.len(), 11)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 11);
        for job in part {
            let c = &job.counts;
            values.extend([
                job.id.0.into(),
                job.state.as_str().into(),
                i64::from(job.paused).into(),
                i64::from(job.cancel_requested).into(),
                i64::from(c.total).into(),
                i64::from(c.open).into(),
                i64::from(c.succeeded).into(),
                i64::from(c.failed).into(),
                i64::from(c.cancelled).into(),
                i64::from(c.needs_review).into(),
                job.finished_at.into(),
            ]);
        }
        execute(tx, &sql, values).await?;
    }
    Ok(())
}

fn transition_facts(task: Task, created: Vec<Task>, job: &Job) -> Vec<FactDraft> {
    let kind = match task.state {
        TaskState::Queued | TaskState::Running => FactKind::TaskRequeued,
        TaskState::Succeeded => FactKind::TaskSucceeded,
        TaskState::Failed => FactKind::TaskFailed,
        TaskState::Cancelled => FactKind::TaskCancelled,
        TaskState::NeedsReview => FactKind::TaskNeedsReview,
    };
    let mut drafts = vec![task_draft(kind, task, job)];
    drafts.extend(created.into_iter().map(|task| task_draft(FactKind::TaskCreated, task, job)));
    if job.state != JobState::Running {
        let mut draft = FactDraft::for_job(FactKind::JobFinished, job.clone());
        draft.data.notification = Some(journal::job_finished_notification(job));
        drafts.push(draft);
    }
    drafts
}

fn task_draft(kind: FactKind, task: Task, job: &Job) -> FactDraft {
    FactDraft {
        kind,
        job: Some(job.id),
        task: Some(task.id),
        data: FactData { job: Some(job.clone()), task: Some(task), ..FactData::default() },
    }
}
