//! What is not kept for ever: facts, jobs, and what has run out.

use super::{Error, Store, accept::KEY_LIFE_MS, all, apply::save_job, commit, execute, one, row};
use contract::{JobId, UserId, state::TaskState};
use uuid::Uuid;

const DAY_MS: i64 = 24 * 3_600_000;
/// A link that has run out is known this much longer, ms, so that whoever
/// opens it is told why it does not work.
const LINK_KNOWN_MS: i64 = 30 * DAY_MS;
/// Rows that one commit deletes: the database is others' between two.
const ROWS: i64 = 500;

/// How long what has ended is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Facts, and messages that could not be read; ms.
    pub journal_ms: i64,
    /// Jobs since they finished, with their tasks, attempts and
    /// notifications; ms. Never less than an idempotency key lives.
    pub jobs_ms: i64,
}

impl Retention {
    pub const fn days(journal: u16, jobs: u16) -> Self {
        Self { journal_ms: journal as i64 * DAY_MS, jobs_ms: jobs as i64 * DAY_MS }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::days(30, 90)
    }
}

/// Rows that were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub facts: u64,
    pub jobs: u64,
    pub tasks: u64,
    /// Sessions, links, keys and rejected messages.
    pub others: u64,
}

impl Store {
    /// Deletes what is older than `keep` says, and what has run out, in
    /// commits of few rows. What comes between two of them finds counters
    /// that equal the rows and a journal without holes.
    ///
    /// # Errors
    /// [`Error::Database`]: what was deleted so far stays deleted.
    pub async fn prune(&self, keep: Retention) -> Result<Pruned, Error> {
        let now = self.now_ms();
        let mut pruned = Pruned::default();
        for user in all(&self.reader, "SELECT id FROM users", []).await? {
            let user = UserId(user.try_get("", "id")?);
            pruned.facts += self.prune_journal(user, now - keep.journal_ms).await?;
        }
        let ended_before = now - keep.jobs_ms.max(KEY_LIFE_MS);
        let old = "SELECT id FROM jobs WHERE state <> 'running' AND finished_at < $1 ORDER BY id";
        for job in all(&self.reader, old, [ended_before.into()]).await? {
            let (tasks, gone) = self.prune_job(JobId(job.try_get("", "id")?), ended_before).await?;
            pruned.tasks += tasks;
            pruned.jobs += u64::from(gone);
        }
        for (sql, before) in [
            (
                "DELETE FROM idempotency_keys WHERE (user_id, name) IN (SELECT user_id, name \
                 FROM idempotency_keys WHERE created_at < $1 LIMIT $2)",
                now - KEY_LIFE_MS,
            ),
            (
                "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions \
                 WHERE expires_at <= $1 LIMIT $2)",
                now,
            ),
            (
                "DELETE FROM one_time_links WHERE id IN (SELECT id FROM one_time_links \
                 WHERE expires_at < $1 LIMIT $2)",
                now - LINK_KNOWN_MS,
            ),
            (
                "DELETE FROM rejected_messages WHERE id IN (SELECT id FROM rejected_messages \
                 WHERE at < $1 LIMIT $2)",
                now - keep.journal_ms,
            ),
        ] {
            pruned.others += self.sweep(sql, before).await?;
        }
        Ok(pruned)
    }

    async fn sweep(&self, sql: &str, before: i64) -> Result<u64, Error> {
        let mut swept = 0;
        loop {
            let rows = execute(&self.writer, sql, [before.into(), ROWS.into()]).await?;
            swept += rows;
            if rows < ROWS.unsigned_abs() {
                return Ok(swept);
            }
        }
    }

    /// Always a beginning of the journal, never out of its middle: what is
    /// left can be replayed.
    async fn prune_journal(&self, user: UserId, before: i64) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let oldest = all(
                &self.reader,
                "SELECT seq, at FROM journal WHERE user_id = $1 ORDER BY seq LIMIT $2",
                [user.0.into(), ROWS.into()],
            )
            .await?;
            let mut last = None;
            for fact in &oldest {
                if fact.try_get::<i64>("", "at")? >= before {
                    break;
                }
                last = Some(fact.try_get::<i64>("", "seq")?);
            }
            let Some(last) = last else { return Ok(deleted) };
            deleted += execute(
                &self.writer,
                "DELETE FROM journal WHERE user_id = $1 AND seq <= $2",
                [user.0.into(), last.into()],
            )
            .await?;
        }
    }

    /// Deletes a job's tasks, then the job; returns how many tasks, and
    /// whether the job is gone: one that is retried meanwhile keeps what is
    /// left of it.
    async fn prune_job(&self, job: JobId, ended_before: i64) -> Result<(u64, bool), Error> {
        let mut deleted = 0;
        loop {
            let tx = self.begin().await?;
            let sql = format!(
                "SELECT {} FROM jobs WHERE id = $1 AND state <> 'running' AND finished_at < $2{}",
                row::JOB,
                self.for_update()
            );
            let Some(found) = one(&tx, &sql, [job.0.into(), ended_before.into()]).await? else {
                tx.rollback().await?;
                return Ok((deleted, false));
            };
            let user: Uuid = found.try_get("", "user_id")?;
            let mut job = row::job(&found)?;
            let few = "SELECT id FROM tasks WHERE job_id = $1 ORDER BY row_no, id LIMIT $2";
            let of_few: [_; 2] = [job.id.0.into(), ROWS.into()];
            let attempts = format!("DELETE FROM attempts WHERE task_id IN ({few})");
            execute(&tx, &attempts, of_few.clone()).await?;
            let tasks = format!("DELETE FROM tasks WHERE id IN ({few}) RETURNING state");
            let tasks = all(&tx, &tasks, of_few).await?;
            for task in &tasks {
                let counts = &mut job.counts;
                counts.total -= 1;
                match row::word(task, "state")? {
                    TaskState::Queued | TaskState::Running => counts.open -= 1,
                    TaskState::Succeeded => counts.succeeded -= 1,
                    TaskState::Failed => counts.failed -= 1,
                    TaskState::Cancelled => counts.cancelled -= 1,
                    TaskState::NeedsPerson => counts.needs_person -= 1,
                }
            }
            deleted += u64::try_from(tasks.len()).unwrap_or(u64::MAX);
            let done = job.counts.total == 0;
            if done {
                execute(
                    &tx,
                    "DELETE FROM notifications WHERE user_id = $1 AND job_id = $2",
                    [user.into(), job.id.0.into()],
                )
                .await?;
                execute(&tx, "DELETE FROM jobs WHERE id = $1", [job.id.0.into()]).await?;
            } else {
                save_job(&tx, &job).await?;
            }
            commit(tx).await?;
            if done {
                return Ok((deleted, true));
            }
        }
    }
}
