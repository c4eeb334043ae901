//! Changes of all tasks of a job that are in one state. The caller has locked the
//! job; each change moves the job's counters.

use super::{facts, job, write::update_tasks_sql};
use crate::store::{
    Actor, Database, Error, execute, execute_bulk, job_queues,
    journal::{self, FactDraft},
    query_all,
    row_set::{MAX_ROWS_PER_STATEMENT, id_list, is_one_of},
};
use contract::{
    api::{Job, RetryRequest},
    fact::{Fact, FactKind},
    state::TaskState,
};
use sea_orm::{DatabaseTransaction, Value};

/// Cancels the job's queued tasks, and returns their number.
pub(in crate::store) async fn cancel_queued_tasks(
    tx: &DatabaseTransaction,
    job: &mut Job,
    now: i64,
) -> Result<u32, Error> {
    let sql = update_tasks_sql(
        "state = 'cancelled', waiting_for = NULL, updated_at = $2",
        " WHERE job_id = $1 AND state = 'queued'",
    );
    let count = to_count(execute_bulk(tx, &sql, [job.id.0.into(), now.into()]).await?);
    job.counts.shift(Some(TaskState::Queued), Some(TaskState::Cancelled), count);
    Ok(count)
}

/// Queues those of the job's failed tasks again that `which` selects, as if they were
/// new, reopens the job, and returns their number.
pub(in crate::store) async fn requeue_failed_tasks(
    tx: &DatabaseTransaction,
    job: &mut Job,
    which: &RetryRequest,
    now: i64,
) -> Result<u32, Error> {
    let mut condition = String::from(" WHERE job_id = $1 AND state = 'failed'");
    let mut values: Vec<Value> = vec![job.id.0.into(), now.into()];
    if let Some(channel) = &which.channel {
        values.push(channel.as_str().into());
        condition.push_str(" AND channel = $3");
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
    let count = to_count(count);
    if count > 0 {
        job.counts.shift(Some(TaskState::Failed), Some(TaskState::Queued), count);
    }
    Ok(count)
}

/// Has the job's published tasks published again, which makes the messages of the job
/// that are in a queue stale.
pub(in crate::store) async fn unpublish_job_tasks(
    tx: &DatabaseTransaction,
    job: &Job,
) -> Result<(), Error> {
    let sql = update_tasks_sql(
        "waiting_for = waiting_for",
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
    let sql = format!("DELETE FROM tasks WHERE id IN ({first}) RETURNING state");
    let mut count = 0;
    for deleted in query_all(tx, &sql, values).await? {
        job.counts.shift(Some(deleted.get("state")?), None, 1);
        count += 1;
    }
    Ok(count)
}

/// Finishes a job if nothing is open after a change of all its tasks, and writes it
/// with its counters. Returns the fact of that kind, which reports the change, and
/// the fact of the job's end.
pub(in crate::store) async fn save_changed_job(
    db: &Database,
    tx: &DatabaseTransaction,
    actor: &Actor,
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
    let counters = job_queues::recount_job(tx, actor.user, job, before.paused, now).await?;
    let facts = journal::append_facts(tx, actor.user, now, drafts).await?;
    job_queues::save_user_queues(tx, counters).await?;
    db.authorize(tx, actor).await?;
    Ok(facts)
}

fn to_count(rows: u64) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
