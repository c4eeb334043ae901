//! Changes of all tasks of a job that are in one state. The caller has locked the
//! job; each change moves the job's counters.

use super::{MAY_HAVE_EFFECT, facts, job, write::update_tasks_sql};
use crate::store::{
    Error, execute, execute_bulk, job_queues,
    journal::{self, FactDraft},
    query_all,
    row::to_json_text,
    row_set::{MAX_ROWS_PER_STATEMENT, id_list, is_one_of},
};
use contract::{
    UserId,
    api::{Job, RetryRequest, RetryState, WaitReason, WaitingFor},
    fact::{Fact, FactKind},
    state::TaskState,
};
use sea_orm::{DatabaseTransaction, Value};

/// Cancels the job's queued tasks that can't have had an effect, and returns their number.
/// The others become due at once, to be reconciled.
pub(in crate::store) async fn cancel_queued_tasks(
    tx: &DatabaseTransaction,
    job: &mut Job,
    now: i64,
) -> Result<u32, Error> {
    let sql = update_tasks_sql(
        "state = 'cancelled', waiting_for = NULL, updated_at = $2",
        &format!(" WHERE job_id = $1 AND state = 'queued' AND NOT {MAY_HAVE_EFFECT}"),
    );
    let count = to_count(execute_bulk(tx, &sql, [job.id.0.into(), now.into()]).await?);
    job.counts.shift(Some(TaskState::Queued), Some(TaskState::Cancelled), count);
    let checking = WaitingFor { reason: WaitReason::Checking, until: None, detail: None };
    let checking = to_json_text("waiting_for", &checking)?;
    let sql = update_tasks_sql(
        "run_after = $2, waiting_for = $3, updated_at = $2",
        " WHERE job_id = $1 AND state = 'queued'",
    );
    execute_bulk(tx, &sql, [job.id.0.into(), now.into(), checking.into()]).await?;
    Ok(count)
}

/// Returns the states of the tasks that a retry takes.
pub(in crate::store) const fn retried_states(which: &RetryRequest) -> &'static [TaskState] {
    match (&which.tasks, which.state) {
        (Some(_), _) => &[TaskState::Failed, TaskState::Rejected, TaskState::Cancelled],
        (None, Some(RetryState::Cancelled)) => &[TaskState::Cancelled],
        (None, Some(RetryState::Failed) | None) => &[TaskState::Failed],
    }
}

/// Queues those of the job's tasks in `states` again that `which` selects, with all their
/// attempts, and returns their number. An outcome that is unknown, as that of a poison task,
/// stays unknown.
pub(in crate::store) async fn requeue_ended_tasks(
    tx: &DatabaseTransaction,
    job: &mut Job,
    which: &RetryRequest,
    states: &[TaskState],
    now: i64,
) -> Result<u32, Error> {
    let mut total = 0;
    for &state in states {
        let count = requeue_tasks_in_state(tx, job, which, state, now).await?;
        job.counts.shift(Some(state), Some(TaskState::Queued), count);
        total += count;
    }
    Ok(total)
}

async fn requeue_tasks_in_state(
    tx: &DatabaseTransaction,
    job: &Job,
    which: &RetryRequest,
    state: TaskState,
    now: i64,
) -> Result<u32, Error> {
    let mut condition = String::from(" WHERE job_id = $1 AND state = $3");
    let mut values: Vec<Value> = vec![job.id.0.into(), now.into(), state.as_str().into()];
    if let Some(channel) = &which.channel {
        values.push(channel.as_str().into());
        condition.push_str(" AND channel = $4");
    }
    let assignments = "state = 'queued', attempt = 0, lease_losses = 0, run_after = $2, \
        waiting_for = NULL, checkpoint = NULL, outcome = NULL, updated_at = $2";
    let mut count = 0;
    match &which.tasks {
        None => {
            let sql = update_tasks_sql(assignments, &condition);
            count += execute_bulk(tx, &sql, values).await?;
        }
        Some(tasks) => {
            let mut tasks = tasks.clone();
            tasks.sort_unstable();
            tasks.dedup();
            let listed = is_one_of(tx, "id", values.len() + 1);
            let sql = update_tasks_sql(assignments, &format!("{condition} AND {listed}"));
            for tasks in tasks.chunks(MAX_ROWS_PER_STATEMENT) {
                let ids = id_list(tasks.iter().copied());
                count += execute(tx, &sql, values.iter().cloned().chain([ids])).await?;
            }
        }
    }
    Ok(to_count(count))
}

/// Has the job's published tasks published again, which makes the messages of the job
/// that are in a queue stale.
pub(in crate::store) async fn unpublish_job_tasks(
    tx: &DatabaseTransaction,
    job: &Job,
) -> Result<(), Error> {
    let sql = update_tasks_sql(
        "",
        " WHERE job_id = $1 AND state = 'queued' AND published_at IS NOT NULL",
    );
    execute_bulk(tx, &sql, [job.id.0.into()]).await.map(|_| ())
}

/// Deletes the first `limit` tasks of a job that has ended, with their attempts, and
/// returns their number.
pub(in crate::store) async fn delete_tasks(
    tx: &DatabaseTransaction,
    job: &mut Job,
    limit: i64,
) -> Result<u32, Error> {
    let first = "SELECT id FROM tasks WHERE job_id = $1 ORDER BY row_no, id LIMIT $2";
    let values: [Value; 2] = [job.id.0.into(), limit.into()];
    let sql = format!("DELETE FROM attempts WHERE task_id IN ({first})");
    execute(tx, &sql, values.clone()).await?;
    let sql = format!("DELETE FROM tasks WHERE id IN ({first}) RETURNING state, effect");
    let mut count = 0;
    for deleted in query_all(tx, &sql, values).await? {
        job.counts.shift(Some(deleted.get("state")?), None, 1);
        if let Some(effect) = deleted.get("effect")? {
            job.counts.remove_effect(effect, 1);
        }
        count += 1;
    }
    Ok(count)
}

/// Finishes a job of `owner` if nothing is open after a change of all its tasks, and writes it
/// with its counters. Returns the fact of that kind, which reports the change, and the fact of
/// the job's end. The caller authorizes the actor after it, because users are locked last.
pub(in crate::store) async fn save_changed_job(
    tx: &DatabaseTransaction,
    owner: UserId,
    before: &Job,
    job: &mut Job,
    (kind, count): (FactKind, Option<u32>),
    now: i64,
) -> Result<Vec<Fact>, Error> {
    let mut draft = FactDraft::for_job(kind, job.clone());
    draft.data.count = count;
    let mut drafts = vec![draft];
    if job::settle_job(job, now) {
        drafts.push(facts::job_finished_draft(job));
    }
    job::save_jobs(tx, std::iter::once(&*job)).await?;
    let counters = job_queues::recount_job(tx, owner, job, before.paused, now).await?;
    let facts = journal::append_facts(tx, owner, now, drafts).await?;
    job_queues::save_user_queues(tx, counters).await?;
    Ok(facts)
}

fn to_count(rows: u64) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
