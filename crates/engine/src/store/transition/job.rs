//! The job of a task: its row, its end and its reopening.

use crate::store::{
    Database, Error, execute, query_all,
    row::{self, FromRow},
    row_set::{ColumnType, MAX_ROWS_PER_STATEMENT, RowSet, id_list, is_one_of},
};
use contract::{JobId, api::Job, state::JobState};
use sea_orm::ConnectionTrait;
use std::collections::BTreeMap;

/// Finishes a job if nothing is open any more, and returns whether this change
/// finished it. The state of a job that had ended before is decided again.
pub(super) fn settle_job(job: &mut Job, now: i64) -> bool {
    if job.counts.open > 0 {
        return false;
    }
    let was_running = job.state == JobState::Running;
    job.state = job.counts.final_state(job.cancel_requested);
    if was_running {
        job.finished_at = Some(now);
        job.paused = false;
    }
    was_running
}

/// Reopens a job that has ended, because one of its tasks is queued again.
pub(in crate::store) fn reopen_job(job: &mut Job) {
    if job.state != JobState::Running {
        job.state = JobState::Running;
        job.cancel_requested = false;
        job.finished_at = None;
    }
}

/// Locks jobs in the order of their ids.
pub(super) async fn lock_jobs<C: ConnectionTrait>(
    db: &Database,
    tx: &C,
    ids: impl Iterator<Item = JobId>,
) -> Result<BTreeMap<JobId, Job>, Error> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let sql = format!(
        "SELECT {} FROM jobs WHERE {} ORDER BY id{}",
        row::JOB_COLUMNS,
        is_one_of(tx, "id", 1),
        db.for_update()
    );
    let mut jobs = BTreeMap::new();
    for ids in ids.chunks(MAX_ROWS_PER_STATEMENT) {
        for found in query_all(tx, &sql, [id_list(ids.iter().copied())]).await? {
            let job = Job::from_row(&found)?;
            jobs.insert(job.id, job);
        }
    }
    Ok(jobs)
}

/// Writes the columns of locked jobs that can change.
pub(in crate::store) async fn save_jobs<C: ConnectionTrait>(
    tx: &C,
    jobs: impl Iterator<Item = &Job>,
) -> Result<(), Error> {
    use ColumnType::{BigInt, Text, Uuid};
    let jobs: Vec<_> = jobs.collect();
    for jobs in jobs.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("job_id", Uuid),
            ("new_state", Text),
            ("new_paused", BigInt),
            ("new_cancel_requested", BigInt),
            ("new_total", BigInt),
            ("new_open", BigInt),
            ("new_succeeded", BigInt),
            ("new_failed", BigInt),
            ("new_rejected", BigInt),
            ("new_cancelled", BigInt),
            ("new_needs_review", BigInt),
            ("new_created", BigInt),
            ("new_updated", BigInt),
            ("new_unchanged", BigInt),
            ("new_finished_at", BigInt),
        ]);
        for job in jobs {
            let counts = &job.counts;
            rows.push([
                job.id.0.into(),
                job.state.as_str().into(),
                i64::from(job.paused).into(),
                i64::from(job.cancel_requested).into(),
                i64::from(counts.total).into(),
                i64::from(counts.open).into(),
                i64::from(counts.succeeded).into(),
                i64::from(counts.failed).into(),
                i64::from(counts.rejected).into(),
                i64::from(counts.cancelled).into(),
                i64::from(counts.needs_review).into(),
                i64::from(counts.created).into(),
                i64::from(counts.updated).into(),
                i64::from(counts.unchanged).into(),
                job.finished_at.into(),
            ])?;
        }
        let sql = format!(
            "UPDATE jobs SET state = new_state, paused = new_paused, \
             cancel_requested = new_cancel_requested, total = new_total, open = new_open, \
             succeeded = new_succeeded, failed = new_failed, rejected = new_rejected, \
             cancelled = new_cancelled, needs_review = new_needs_review, created = new_created, \
             updated = new_updated, unchanged = new_unchanged, finished_at = new_finished_at \
             FROM {} WHERE id = job_id",
            rows.table_sql(tx, 1)
        );
        execute(tx, &sql, [rows.into_value()]).await?;
    }
    Ok(())
}
