//! Changes of tasks: new state, attempt, follow-ups, counters and facts in
//! one commit, for one task or for many.

use super::{
    Error, NewTask, News, Store,
    accept::insert_tasks,
    all, execute,
    job_queues::{self, QueueChange, QueueChanges},
    journal::{self, Draft},
    one, parts, places, row, tuples,
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

/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;

/// A task whose row this transaction has locked.
pub(super) struct Held {
    pub task: TaskId,
    pub job: JobId,
    pub user: UserId,
    pub queue: String,
    pub channel: Option<String>,
    pub state: TaskState,
    pub fence: i64,
    pub attempt: i64,
    pub lost: i64,
    pub unsure: bool,
    pub started_at: Option<i64>,
    pub lease_until: Option<i64>,
}

/// The new state of a task and what goes with it.
pub(super) struct Change {
    pub state: TaskState,
    pub outcome: Option<Outcome>,
    pub waiting_for: Option<WaitingFor>,
    pub run_after: i64,
    pub unsure: bool,
    pub memo: Option<Json>,
    /// Gives the attempt back.
    pub free: bool,
    /// Lost leases in a row after this.
    pub lost: i64,
    /// Who tried, where it counts as an entry among the attempts.
    pub tried_by: Option<String>,
    pub follow_ups: Vec<NewTask>,
}

impl Change {
    pub fn to(state: TaskState) -> Self {
        Self {
            state,
            outcome: None,
            waiting_for: None,
            run_after: 0,
            unsure: false,
            memo: None,
            free: false,
            lost: 0,
            tried_by: None,
            follow_ups: Vec::new(),
        }
    }
}

/// Locks the rows of `claims` that are in state `from` with that fence, in
/// the order of their ids: whoever locks many does so in this order.
pub(super) async fn hold<C: ConnectionTrait>(
    store: &Store,
    tx: &C,
    from: TaskState,
    claims: &[(TaskId, i64)],
) -> Result<Vec<Held>, Error> {
    let mut claims = claims.to_vec();
    claims.sort_unstable();
    claims.dedup();
    let mut held = Vec::with_capacity(claims.len());
    for chunk in parts(&claims, ROWS) {
        let sql = format!(
            "SELECT id, job_id, user_id, queue, channel, fence, attempt, lost, unsure, started_at, lease_until \
             FROM tasks WHERE state = $1 AND id IN ({}) ORDER BY id{}",
            places(2, chunk.len()),
            store.for_update()
        );
        let mut values: Vec<Value> = vec![from.as_str().into()];
        values.extend(chunk.iter().map(|(task, _)| Value::from(task.0)));
        for found in all(tx, &sql, values).await? {
            let task = Held {
                task: TaskId(found.try_get("", "id")?),
                job: JobId(found.try_get("", "job_id")?),
                user: UserId(found.try_get("", "user_id")?),
                queue: found.try_get("", "queue")?,
                channel: found.try_get("", "channel")?,
                state: from,
                fence: found.try_get("", "fence")?,
                attempt: found.try_get("", "attempt")?,
                lost: found.try_get("", "lost")?,
                unsure: row::flag(&found, "unsure")?,
                started_at: found.try_get("", "started_at")?,
                lease_until: found.try_get("", "lease_until")?,
            };
            if chunk.contains(&(task.task, task.fence)) {
                held.push(task);
            }
        }
    }
    Ok(held)
}

/// Applies changes to tasks that are held. Each is its user's news, in the
/// order of `changes`; a job's counters and a user's `seq` are written once.
pub(super) async fn apply<C: ConnectionTrait>(
    store: &Store,
    tx: &C,
    changes: Vec<(Held, Change)>,
    now: i64,
) -> Result<Vec<News>, Error> {
    let mut jobs = lock_jobs(store, tx, changes.iter().map(|(held, _)| held.job)).await?;
    let mut changes = changes;
    for (held, change) in &mut changes {
        let job = jobs.get(&held.job).ok_or(Error::NotFound)?;
        if job.cancel_requested && change.state == TaskState::Queued {
            change.state = TaskState::Cancelled;
            change.waiting_for = None;
        }
    }
    keep_attempts(tx, &changes, now).await?;
    let mut changed = change_tasks(tx, &changes, now).await?;
    let mut users: BTreeMap<UserId, Vec<Draft>> = BTreeMap::new();
    let mut told = Vec::with_capacity(changes.len());
    let mut queues = QueueChanges::new();
    for (held, change) in changes {
        let job = jobs.get_mut(&held.job).ok_or(Error::NotFound)?;
        let task = changed.remove(&held.task).ok_or(Error::NotFound)?;
        let follow_ups = change.follow_ups;
        let created = follow_up(tx, job, held.user, &task, follow_ups, now, &mut queues).await?;
        let queue = queues.entry((held.job, held.queue)).or_default();
        queue.user = Some(held.user);
        queue.channel = held.channel;
        queue.paused = job.paused;
        match task.state {
            TaskState::Queued => queue.ready_at(change.run_after),
            _ => queue.open -= i64::from(task.state.is_end()),
        }
        settle(job, task.state, &created, now);
        let drafts = drafts(task, created, job);
        told.push((held.user, drafts.len()));
        users.entry(held.user).or_default().extend(drafts);
    }
    save_jobs(tx, jobs.values()).await?;
    let counters = job_queues::save(tx, &queues, now).await?;
    let ended = jobs.values().filter(|job| job.state != JobState::Running).map(|job| job.id);
    job_queues::forget(tx, &ended.collect::<Vec<_>>()).await?;
    let facts = journal::append_all(store, tx, now, users).await?;
    job_queues::save_users(tx, counters).await?;
    let mut facts: HashMap<_, _> =
        facts.into_iter().map(|(user, facts)| (user, facts.into_iter())).collect();
    Ok(told
        .into_iter()
        .map(|(user, count)| {
            let facts = facts.get_mut(&user).map(|facts| facts.take(count).collect());
            News { user, facts: facts.unwrap_or_default() }
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
    for chunk in parts(&ids, ROWS) {
        let sql = format!(
            "SELECT {} FROM jobs WHERE id IN ({}) ORDER BY id{}",
            row::JOB,
            places(1, chunk.len()),
            store.for_update()
        );
        for found in all(tx, &sql, chunk.iter().map(|job| Value::from(job.0))).await? {
            let job = row::job(&found)?;
            jobs.insert(job.id, job);
        }
    }
    Ok(jobs)
}

/// Of those whose try counts as an entry.
async fn keep_attempts<C: ConnectionTrait>(
    tx: &C,
    changes: &[(Held, Change)],
    now: i64,
) -> Result<(), Error> {
    let mut tried = Vec::with_capacity(changes.len());
    for (held, change) in changes {
        if let (Some(worker), Some(outcome)) = (&change.tried_by, &change.outcome) {
            tried.push((held, worker, row::text("outcome", outcome)?));
        }
    }
    for part in parts(&tried, ROWS) {
        let sql = format!(
            "INSERT INTO attempts (task_id, fence, number, started_at, ended_at, worker, outcome) \
             VALUES {}",
            tuples(part.len(), 7)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 7);
        for (held, worker, outcome) in part {
            values.extend([
                held.task.0.into(),
                held.fence.into(),
                held.attempt.into(),
                held.started_at.unwrap_or(now).into(),
                now.into(),
                worker.as_str().into(),
                outcome.as_str().into(),
            ]);
        }
        execute(tx, &sql, values).await?;
    }
    Ok(())
}

/// Writes the new states, and reads the tasks back.
async fn change_tasks<C: ConnectionTrait>(
    tx: &C,
    changes: &[(Held, Change)],
    now: i64,
) -> Result<HashMap<TaskId, Task>, Error> {
    let mut changed = HashMap::with_capacity(changes.len());
    for part in parts(changes, ROWS) {
        let sql = format!(
            "WITH new (task, new_state, new_outcome, waits_for, due, doubt, note, tries, losses, \
             at) AS (VALUES {}) UPDATE tasks SET state = new_state, fence = fence + 1, \
             published_at = NULL, lease_owner = NULL, lease_until = NULL, \
             outcome = COALESCE(new_outcome, outcome), waiting_for = waits_for, run_after = due, \
             unsure = doubt, memo = COALESCE(note, memo), attempt = tries, lost = losses, \
             updated_at = at FROM new WHERE id = task RETURNING {}",
            tuples(part.len(), 10),
            row::TASK
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 10);
        for (held, change) in part {
            let outcome = change.outcome.as_ref().map(|o| row::text("outcome", o)).transpose()?;
            let waiting = change.waiting_for.as_ref();
            let waiting = waiting.map(|w| row::text("waiting_for", w)).transpose()?;
            let given_back = i64::from(change.free && held.state == TaskState::Running);
            values.extend([
                held.task.0.into(),
                change.state.as_str().into(),
                outcome.into(),
                waiting.into(),
                change.run_after.into(),
                i64::from(change.unsure).into(),
                change.memo.as_ref().map(ToString::to_string).into(),
                (held.attempt - given_back).max(0).into(),
                change.lost.into(),
                now.into(),
            ]);
        }
        for found in all(tx, &sql, values).await? {
            let task = row::task(&found)?;
            changed.insert(task.id, task);
        }
    }
    Ok(changed)
}

/// Inserts the follow-ups that are new and reads them back; adds those that are
/// open to `queues`.
async fn follow_up<C: ConnectionTrait>(
    tx: &C,
    job: &Job,
    user: UserId,
    cause: &Task,
    follow_ups: Vec<NewTask>,
    now: i64,
    queues: &mut QueueChanges,
) -> Result<Vec<Task>, Error> {
    let state = if job.cancel_requested { "cancelled" } else { "queued" };
    let mut created = Vec::new();
    for task in follow_ups {
        let id = cause.id.follow_up(task.kind, &task.key);
        let rows = [(id, Some(cause.id), task)];
        if insert_tasks(tx, job.id, user, now, state, &rows).await? == 1 {
            if !job.cancel_requested {
                let [(_, _, task)] = &rows;
                let queue: &mut QueueChange =
                    queues.entry((job.id, task.queue.clone())).or_default();
                queue.user = Some(user);
                queue.channel.clone_from(&task.channel);
                queue.paused = job.paused;
                queue.open += 1;
                queue.ready_at(now);
            }
            let sql = format!("SELECT {} FROM tasks WHERE id = $1", row::TASK);
            created.push(row::task(&one(tx, &sql, [id.0.into()]).await?.ok_or(Error::NotFound)?)?);
        }
    }
    Ok(created)
}

/// Counters, and the job's end once nothing is open: after the follow-ups.
fn settle(job: &mut Job, state: TaskState, created: &[Task], now: i64) {
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
        TaskState::NeedsPerson => counts.needs_person += 1,
    }
    counts.open -= u32::from(state.is_end());
    if counts.open == 0 {
        job.state = counts.verdict(job.cancel_requested);
        job.finished_at = Some(now);
        job.paused = false;
    }
}

/// Writes what changes of a job.
pub(super) async fn save_job<C: ConnectionTrait>(tx: &C, job: &Job) -> Result<(), Error> {
    save_jobs(tx, std::iter::once(job)).await
}

/// Writes what changes of jobs that are locked.
async fn save_jobs<C: ConnectionTrait>(
    tx: &C,
    jobs: impl Iterator<Item = &Job>,
) -> Result<(), Error> {
    let jobs: Vec<_> = jobs.collect();
    for part in parts(&jobs, ROWS) {
        let sql = format!(
            "WITH new (job, new_state, pause, cancel, tasks, undone, done, bad, dropped, unclear, \
             ended) AS (VALUES {}) UPDATE jobs SET state = new_state, paused = pause, \
             cancel_requested = cancel, total = tasks, open = undone, succeeded = done, \
             failed = bad, cancelled = dropped, needs_person = unclear, finished_at = ended \
             FROM new WHERE id = job",
            tuples(part.len(), 11)
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
                i64::from(c.needs_person).into(),
                job.finished_at.into(),
            ]);
        }
        execute(tx, &sql, values).await?;
    }
    Ok(())
}

fn drafts(task: Task, created: Vec<Task>, job: &Job) -> Vec<Draft> {
    let kind = match task.state {
        TaskState::Queued | TaskState::Running => FactKind::TaskRequeued,
        TaskState::Succeeded => FactKind::TaskSucceeded,
        TaskState::Failed => FactKind::TaskFailed,
        TaskState::Cancelled => FactKind::TaskCancelled,
        TaskState::NeedsPerson => FactKind::TaskNeedsPerson,
    };
    let mut drafts = vec![of_task(kind, task, job)];
    drafts.extend(created.into_iter().map(|task| of_task(FactKind::TaskCreated, task, job)));
    if job.state != JobState::Running {
        let mut draft = Draft::of_job(FactKind::JobFinished, job.clone());
        draft.data.notification = Some(journal::finished(job));
        drafts.push(draft);
    }
    drafts
}

fn of_task(kind: FactKind, task: Task, job: &Job) -> Draft {
    Draft {
        kind,
        job: Some(job.id),
        task: Some(task.id),
        data: FactData { job: Some(job.clone()), task: Some(task), ..FactData::default() },
    }
}
