//! Pruning: deletes facts and jobs past their retention, and what has expired.

use super::{
    Error, Tasks,
    accept::IDEMPOTENCY_KEY_LIFETIME_MS,
    commit, execute, left_out, query_all, query_one,
    row::{self, FromRow},
    transition::{bulk, job::save_jobs},
};
use crate::clock::whole_millis;
use contract::{JobId, UserId, api::Job};
use std::time::Duration;
use uuid::Uuid;

const DAY_S: u64 = 24 * 3_600;
/// How long an expired link is still stored, so that a person who opens it learns why
/// it does not work.
const EXPIRED_LINK_RETENTION: Duration = Duration::from_secs(30 * DAY_S);
/// Maximum number of rows that one commit deletes, so that other transactions can
/// run in between.
const MAX_ROWS_PER_COMMIT: i64 = 500;

/// How long data is stored after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Facts and rejected messages.
    pub journal: Duration,
    /// Jobs since they finished, with their tasks, attempts and notifications. At least
    /// the lifetime of an idempotency key.
    pub jobs: Duration,
}

impl Retention {
    /// Returns a retention of so many days.
    pub const fn days(journal: u16, jobs: u16) -> Self {
        Self {
            journal: Duration::from_secs(journal as u64 * DAY_S),
            jobs: Duration::from_secs(jobs as u64 * DAY_S),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::days(30, 90)
    }
}

/// Numbers of deleted rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunedRows {
    /// Facts of journals.
    pub facts: u64,
    /// Jobs.
    pub jobs: u64,
    /// Tasks.
    pub tasks: u64,
    /// Sessions, links, idempotency keys and rejected messages.
    pub others: u64,
}

impl Tasks {
    /// Deletes what is past its retention and what has expired, in small commits. A
    /// transaction between two of them finds counters that match the rows, and a
    /// journal without gaps.
    ///
    /// # Errors
    /// [`Error::Database`]: what was deleted so far stays deleted.
    pub async fn prune(&self, retention: Retention) -> Result<PrunedRows, Error> {
        let now = self.db.now_ms();
        let journal_ms = whole_millis(retention.journal);
        let mut pruned = PrunedRows::default();
        for user in query_all(&self.db.reader, "SELECT id FROM users", []).await? {
            let user = user.get("id")?;
            pruned.facts += self.prune_journal(user, now - journal_ms).await?;
        }
        let ended_before = now - whole_millis(retention.jobs).max(IDEMPOTENCY_KEY_LIFETIME_MS);
        let old = "SELECT id FROM jobs WHERE state <> 'running' AND finished_at < $1 ORDER BY id";
        for job in query_all(&self.db.reader, old, [ended_before.into()]).await? {
            let (tasks, is_deleted) = self.prune_job(job.get("id")?, ended_before).await?;
            pruned.tasks += tasks;
            pruned.jobs += u64::from(is_deleted);
        }
        for (sql, before) in [
            (
                "DELETE FROM idempotency_keys WHERE (user_id, name) IN (SELECT user_id, name \
                 FROM idempotency_keys WHERE created_at < $1 LIMIT $2)",
                now - IDEMPOTENCY_KEY_LIFETIME_MS,
            ),
            (
                "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions \
                 WHERE expires_at <= $1 LIMIT $2)",
                now,
            ),
            (
                "DELETE FROM one_time_links WHERE id IN (SELECT id FROM one_time_links \
                 WHERE expires_at < $1 LIMIT $2)",
                now - whole_millis(EXPIRED_LINK_RETENTION),
            ),
            (
                "DELETE FROM rejected_messages WHERE id IN (SELECT id FROM rejected_messages \
                 WHERE at < $1 LIMIT $2)",
                now - journal_ms,
            ),
        ] {
            pruned.others += self.delete_in_batches(sql, before).await?;
        }
        Ok(pruned)
    }

    async fn delete_in_batches(&self, sql: &str, before: i64) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let rows =
                execute(&self.db.writer, sql, [before.into(), MAX_ROWS_PER_COMMIT.into()]).await?;
            deleted += rows;
            if rows < MAX_ROWS_PER_COMMIT.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }

    /// Deletes the oldest facts only, never any from the middle: the rest can still
    /// be replayed.
    async fn prune_journal(&self, user: UserId, before: i64) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let oldest = query_all(
                &self.db.reader,
                "SELECT seq, at FROM journal WHERE user_id = $1 ORDER BY seq LIMIT $2",
                [user.0.into(), MAX_ROWS_PER_COMMIT.into()],
            )
            .await?;
            let mut last = None;
            for fact in &oldest {
                if fact.get::<i64>("at")? >= before {
                    break;
                }
                last = Some(fact.get::<i64>("seq")?);
            }
            let Some(last) = last else { return Ok(deleted) };
            deleted += execute(
                &self.db.writer,
                "DELETE FROM journal WHERE user_id = $1 AND seq <= $2",
                [user.0.into(), last.into()],
            )
            .await?;
        }
    }

    /// Deletes a job's tasks, then the job. Returns the number of deleted tasks,
    /// and whether the job was deleted: a job that is retried meanwhile stays, with
    /// its remaining tasks.
    async fn prune_job(&self, job: JobId, ended_before: i64) -> Result<(u64, bool), Error> {
        let mut deleted = 0;
        loop {
            let tx = self.db.begin().await?;
            let sql = format!(
                "SELECT {} FROM jobs WHERE id = $1 AND state <> 'running' AND finished_at < $2{}",
                row::JOB_COLUMNS,
                self.db.for_update()
            );
            let Some(found) = query_one(&tx, &sql, [job.0.into(), ended_before.into()]).await?
            else {
                tx.rollback().await?;
                return Ok((deleted, false));
            };
            let user: Uuid = found.get("user_id")?;
            let mut job = Job::from_row(&found)?;
            deleted += u64::from(bulk::delete_tasks(&tx, &mut job, MAX_ROWS_PER_COMMIT).await?);
            let is_last_batch = job.counts.total == 0;
            if is_last_batch {
                execute(
                    &tx,
                    "DELETE FROM notifications WHERE user_id = $1 AND job_id = $2",
                    [user.into(), job.id.0.into()],
                )
                .await?;
                left_out::delete_left_out_rows(&tx, job.id).await?;
                execute(&tx, "DELETE FROM jobs WHERE id = $1", [job.id.0.into()]).await?;
            } else {
                save_jobs(&tx, std::iter::once(&job)).await?;
            }
            commit(tx).await?;
            if is_last_batch {
                return Ok((deleted, true));
            }
        }
    }
}
