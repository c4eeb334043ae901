//! Statements that write tasks and their attempts.

use super::{FencedTask, LockedTask, Transition};
use crate::store::{
    ClaimedTask, Error, NewTask, execute, query_all,
    row::{self, FromRow},
    row_set::{
        ColumnType::{BigInt, Text, Uuid},
        MAX_ROWS_PER_STATEMENT, RowSet, id_list, is_one_of, optional_json_text,
    },
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Task, WaitReason},
    command::CommandEdit,
    state::{Effect, TaskState},
};
use sea_orm::{ConnectionTrait, Value};
use std::collections::{BTreeMap, HashMap};

/// Returns an UPDATE of tasks that makes their earlier deliveries and claims stale.
pub(super) fn update_tasks_sql(assignments: &str, rest: &str) -> String {
    let separator = if assignments.is_empty() { "" } else { ", " };
    format!("UPDATE tasks SET fence = fence + 1, published_at = NULL{separator}{assignments}{rest}")
}

/// A task to be inserted, with its id and what it belongs to.
pub(in crate::store) struct NewTaskRow {
    pub id: TaskId,
    pub job: JobId,
    pub user: UserId,
    /// Id of the task that caused it.
    pub cause: Option<TaskId>,
    pub state: TaskState,
    /// Trace of what caused it.
    pub traceparent: Option<String>,
    pub task: NewTask,
}

impl NewTaskRow {
    /// Returns what the tasks of one statement have in common.
    fn shared_columns(&self) -> (JobId, UserId, &'static str, u16, TaskState) {
        (self.job, self.user, self.task.kind, self.task.version, self.state)
    }
}

/// Splits tasks into parts that one statement inserts.
fn statement_parts(tasks: &[NewTaskRow]) -> impl Iterator<Item = &[NewTaskRow]> {
    tasks
        .chunk_by(|one, next| one.shared_columns() == next.shared_columns())
        .flat_map(|tasks| tasks.chunks(MAX_ROWS_PER_STATEMENT))
}

/// Inserts the tasks that don't exist yet, and returns those: an existing follow-up
/// stays unchanged.
async fn insert_and_return_tasks<C: ConnectionTrait>(
    c: &C,
    tasks: &[NewTaskRow],
    now: i64,
) -> Result<Vec<Task>, Error> {
    let mut inserted = Vec::with_capacity(tasks.len());
    for part in statement_parts(tasks) {
        let (sql, values) = insert_statement(c, part, now)?;
        let sql = format!("{sql} RETURNING {}", row::TASK_COLUMNS);
        for found in query_all(c, &sql, values).await? {
            inserted.push(Task::from_row(&found)?);
        }
    }
    Ok(inserted)
}

/// Inserts the tasks of a new job.
pub(in crate::store) async fn insert_tasks<C: ConnectionTrait>(
    c: &C,
    tasks: &[NewTaskRow],
    now: i64,
) -> Result<(), Error> {
    for part in statement_parts(tasks) {
        let (sql, values) = insert_statement(c, part, now)?;
        execute(c, &sql, values).await?;
    }
    Ok(())
}

/// Returns the statement that inserts tasks with the same shared columns.
fn insert_statement<C: ConnectionTrait>(
    c: &C,
    tasks: &[NewTaskRow],
    now: i64,
) -> Result<(String, Vec<Value>), Error> {
    let Some(first) = tasks.first() else { return Err(Error::NotFound) };
    let (job, user, kind, version, state) = first.shared_columns();
    let mut rows = RowSet::new(&[
        ("id", Uuid),
        ("cause_id", Uuid),
        ("queue", Text),
        ("key", Text),
        ("channel", Text),
        ("sku", Text),
        ("title", Text),
        ("row_no", BigInt),
        ("body", Text),
        ("traceparent", Text),
    ]);
    for NewTaskRow { id, cause, traceparent, task, .. } in tasks {
        rows.push([
            id.0.into(),
            cause.map(|cause| cause.0).into(),
            task.queue.as_str().into(),
            task.key.as_str().into(),
            task.channel.as_deref().into(),
            task.sku.as_str().into(),
            task.title.as_str().into(),
            i64::from(task.row).into(),
            task.body.as_str().into(),
            traceparent.as_deref().into(),
        ])?;
    }
    // SQLite needs the WHERE to tell ON CONFLICT from a join's ON.
    let sql = format!(
        "INSERT INTO tasks (id, cause_id, queue, key, channel, sku, title, row_no, body, \
         traceparent, job_id, user_id, kind, version, state, run_after, created_at, updated_at) \
         SELECT new.*, $2, $3, $4, $5, $6, $7, $7, $7 FROM {} \
         WHERE true ON CONFLICT (id) DO NOTHING",
        rows.table_sql(c, 1)
    );
    let values = vec![
        rows.into_value(),
        job.0.into(),
        user.0.into(),
        kind.into(),
        i64::from(version).into(),
        state.as_str().into(),
        now.into(),
    ];
    Ok((sql, values))
}

/// Takes the follow-ups out of `transitions`, inserts those that don't exist yet,
/// and returns them with their queues by their cause.
pub(super) async fn insert_follow_ups<C: ConnectionTrait>(
    c: &C,
    transitions: &mut [(LockedTask, Transition)],
    jobs: &BTreeMap<JobId, Job>,
    now: i64,
) -> Result<HashMap<TaskId, Vec<(String, Task)>>, Error> {
    let mut tasks = Vec::new();
    for (locked, transition) in transitions {
        let is_cancelling = jobs.get(&locked.job).is_some_and(|job| job.cancel_requested);
        let state = if is_cancelling { TaskState::Cancelled } else { TaskState::Queued };
        for task in transition.follow_ups.drain(..) {
            tasks.push(NewTaskRow {
                id: locked.task.follow_up(task.kind, &task.key),
                job: locked.job,
                user: locked.user,
                cause: Some(locked.task),
                state,
                traceparent: transition.traceparent.clone(),
                task,
            });
        }
    }
    let mut inserted: HashMap<_, _> = insert_and_return_tasks(c, &tasks, now)
        .await?
        .into_iter()
        .map(|task| (task.id, task))
        .collect();
    let mut created: HashMap<TaskId, Vec<_>> = HashMap::new();
    for NewTaskRow { id, cause, task, .. } in tasks {
        if let (Some(cause), Some(new)) = (cause, inserted.remove(&id)) {
            created.entry(cause).or_default().push((task.queue, new));
        }
    }
    Ok(created)
}

/// Sets queued tasks running, and returns them. Their rows are locked.
pub(in crate::store) async fn start_tasks<C: ConnectionTrait>(
    tx: &C,
    tasks: &[TaskId],
    worker: &str,
    lease_until: i64,
    now: i64,
) -> Result<Vec<ClaimedTask>, Error> {
    let sql = update_tasks_sql(
        "state = 'running', attempt = attempt + 1, lease_owner = $1, lease_until = $2, \
         started_at = $3, updated_at = $3, waiting_for = NULL",
        &format!(" WHERE {} RETURNING {}", is_one_of(tx, "id", 4), ClaimedTask::COLUMNS),
    );
    let mut started = Vec::with_capacity(tasks.len());
    for tasks in tasks.chunks(MAX_ROWS_PER_STATEMENT) {
        let ids = id_list(tasks.iter().copied());
        let values = [worker.into(), lease_until.into(), now.into(), ids];
        for found in query_all(tx, &sql, values).await? {
            started.push(ClaimedTask::from_row(&found)?);
        }
    }
    Ok(started)
}

/// Writes the new states of locked tasks, and returns the updated tasks.
pub(super) async fn update_tasks<C: ConnectionTrait>(
    tx: &C,
    transitions: &[(LockedTask, Transition)],
    now: i64,
) -> Result<HashMap<TaskId, Task>, Error> {
    let mut updated = HashMap::with_capacity(transitions.len());
    for transitions in transitions.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("task_id", Uuid),
            ("new_state", Text),
            ("new_outcome", Text),
            ("new_effect", Text),
            ("new_waiting_for", Text),
            ("new_run_after", BigInt),
            ("new_unknown_since", BigInt),
            ("new_checkpoint", Text),
            ("new_attempt", BigInt),
            ("new_lease_losses", BigInt),
            ("starts_over", BigInt),
        ]);
        for (locked, transition) in transitions {
            rows.push([
                locked.task.0.into(),
                transition.state.as_str().into(),
                optional_json_text("outcome", transition.outcome.as_ref())?.into(),
                transition.effect.map(Effect::as_str).into(),
                optional_json_text("waiting_for", transition.waiting_for.as_ref())?.into(),
                transition.run_after.into(),
                transition.unknown_since.into(),
                transition.checkpoint.as_ref().map(ToString::to_string).into(),
                attempts_after(locked, transition).into(),
                transition.lease_losses.into(),
                i64::from(transition.starts_over).into(),
            ])?;
        }
        let sql = update_tasks_sql(
            "state = new_state, lease_owner = NULL, lease_until = NULL, \
             outcome = CASE WHEN starts_over = 1 THEN new_outcome \
             ELSE COALESCE(new_outcome, outcome) END, \
             checkpoint = CASE WHEN starts_over = 1 THEN new_checkpoint \
             ELSE COALESCE(new_checkpoint, checkpoint) END, \
             has_begun = CASE WHEN new_checkpoint IS NOT NULL THEN 1 \
             WHEN starts_over = 1 THEN 0 ELSE has_begun END, \
             effect = new_effect, waiting_for = new_waiting_for, run_after = new_run_after, \
             unknown_since = new_unknown_since, attempt = new_attempt, \
             lease_losses = new_lease_losses, updated_at = $1",
            &format!(
                " FROM {} WHERE id = task_id RETURNING {}",
                rows.table_sql(tx, 2),
                row::TASK_COLUMNS
            ),
        );
        for found in query_all(tx, &sql, [now.into(), rows.into_value()]).await? {
            let task = Task::from_row(&found)?;
            updated.insert(task.id, task);
        }
    }
    Ok(updated)
}

fn attempts_after(locked: &LockedTask, transition: &Transition) -> i64 {
    if transition.starts_over {
        return 0;
    }
    let refunded = i64::from(transition.refund_attempt && locked.state == TaskState::Running);
    (locked.attempt - refunded).max(0)
}

/// Whether an attempt with this result is an error of its upstream, or one that the upstream has
/// found. Waiting for something is none.
fn is_failure(transition: &Transition) -> bool {
    match transition.state {
        TaskState::Failed | TaskState::Rejected | TaskState::NeedsReview => true,
        TaskState::Queued => transition.waiting_for.as_ref().is_some_and(|waiting| {
            matches!(
                waiting.reason,
                WaitReason::Retry | WaitReason::Cooldown | WaitReason::Checking
            )
        }),
        TaskState::Running | TaskState::Succeeded | TaskState::Cancelled => false,
    }
}

/// Inserts the attempts that are recorded.
pub(super) async fn insert_attempts<C: ConnectionTrait>(
    tx: &C,
    transitions: &[(LockedTask, Transition)],
    now: i64,
) -> Result<(), Error> {
    for transitions in transitions.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("task_id", Uuid),
            ("fence", BigInt),
            ("number", BigInt),
            ("started_at", BigInt),
            ("worker", Text),
            ("outcome", Text),
            ("failed_queue", Text),
        ]);
        for (locked, transition) in transitions {
            let (Some(worker), Some(outcome)) = (&transition.recorded_worker, &transition.outcome)
            else {
                continue;
            };
            rows.push([
                locked.task.0.into(),
                locked.fence.into(),
                locked.attempt.into(),
                locked.started_at.unwrap_or(now).into(),
                worker.as_str().into(),
                row::to_json_text("outcome", outcome)?.into(),
                is_failure(transition).then_some(locked.queue.as_str()).into(),
            ])?;
        }
        if rows.is_empty() {
            continue;
        }
        let sql = format!(
            "INSERT INTO attempts \
             (task_id, fence, number, started_at, worker, outcome, failed_queue, ended_at) \
             SELECT new.*, CAST($1 AS BIGINT) FROM {}",
            rows.table_sql(tx, 2)
        );
        execute(tx, &sql, [now.into(), rows.into_value()]).await?;
    }
    Ok(())
}

/// Replaces the body of a task's command, and its title if that is part of the body. The
/// revision says that messages and idempotency keys of the body before are no longer its own.
pub(in crate::store) async fn replace_body<C: ConnectionTrait>(
    tx: &C,
    task: TaskId,
    edit: &CommandEdit,
    editor: UserId,
    now: i64,
) -> Result<(), Error> {
    let sql = update_tasks_sql(
        "body = $2, title = COALESCE($3, title), revision = revision + 1, edited_at = $4, \
         edited_by = (SELECT email FROM users WHERE id = $5)",
        " WHERE id = $1",
    );
    let values = [
        task.0.into(),
        edit.body.as_str().into(),
        edit.title.as_deref().into(),
        now.into(),
        editor.0.into(),
    ];
    execute(tx, &sql, values).await.map(|_| ())
}

/// Marks locked tasks as published.
pub(in crate::store) async fn mark_published<C: ConnectionTrait>(
    tx: &C,
    tasks: &[LockedTask],
    now: i64,
) -> Result<(), Error> {
    let sql = format!("UPDATE tasks SET published_at = $1 WHERE {}", is_one_of(tx, "id", 2));
    for tasks in tasks.chunks(MAX_ROWS_PER_STATEMENT) {
        let ids = id_list(tasks.iter().map(|locked| locked.task));
        execute(tx, &sql, [now.into(), ids]).await?;
    }
    Ok(())
}

/// Has queued tasks of a queue published again that were published before
/// `published_before`, UTC ms. Returns their jobs, one for each task.
pub(in crate::store) async fn unpublish_tasks<C: ConnectionTrait>(
    tx: &C,
    queue: &str,
    published_before: i64,
) -> Result<Vec<JobId>, Error> {
    let sql = update_tasks_sql(
        "",
        " WHERE queue = $1 AND state = 'queued' AND published_at < $2 RETURNING job_id",
    );
    let found = query_all(tx, &sql, [queue.into(), published_before.into()]).await?;
    found.iter().map(|row| row.get("job_id")).collect()
}

/// Extends the lease of a running task, and returns whether the claim still holds.
pub(in crate::store) async fn renew_lease<C: ConnectionTrait>(
    c: &C,
    (task, fence): FencedTask,
    lease_until: i64,
) -> Result<bool, Error> {
    let renewed = execute(
        c,
        "UPDATE tasks SET lease_until = $3 WHERE id = $1 AND fence = $2 AND state = 'running'",
        [task.0.into(), fence.into(), lease_until.into()],
    )
    .await?;
    Ok(renewed == 1)
}
