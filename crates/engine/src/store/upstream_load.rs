//! What waits at an upstream, by job, and why its last attempts failed.

use super::{
    Error, Jobs, query_all, query_one,
    row::missing,
    row_set::{MAX_ROWS_PER_STATEMENT, id_list, is_one_of},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Outcome, UpstreamQueueEntry},
};
use sea_orm::Value;
use std::collections::HashMap;

/// Number of the newest failed attempts of a queue that are read.
const FAILED_ATTEMPTS_LIMIT: i64 = 500;

/// Person who reads what others wait for too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReader {
    /// The person.
    pub user: UserId,
    /// Whether they see everybody's jobs and items, or only their own.
    pub sees_all: bool,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// Owner of the task.
    pub user: UserId,
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskId,
    /// Why it failed.
    pub outcome: Outcome,
    /// End of the attempt, UTC ms.
    pub ended_at: i64,
}

impl Jobs {
    /// Returns the number of open tasks in a queue, of all users. Reads as many rows as there are users with open tasks in it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count_open_in_queue(&self, queue: &str) -> Result<u32, Error> {
        let sql = "SELECT CAST(COALESCE(SUM(open), 0) AS BIGINT) AS n FROM user_queues \
                   WHERE queue = $1";
        let found = query_one(&self.db.reader, sql, [queue.into()]).await?;
        found.ok_or_else(|| missing("number of open tasks"))?.get("n")
    }

    /// Returns the jobs with open tasks in a queue that `reader` may see, the oldest first, at
    /// most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn jobs_in_queue(
        &self,
        queue: &str,
        reader: QueueReader,
        limit: u32,
    ) -> Result<Vec<UpstreamQueueEntry>, Error> {
        let mut values: Vec<Value> = vec![queue.into(), i64::from(limit).into()];
        let mut own = "";
        if !reader.sees_all {
            values.push(reader.user.0.into());
            own = "AND q.user_id = $3 ";
        }
        let sql = format!(
            "SELECT q.job_id, q.user_id, q.open, j.kind, j.title, j.paused, u.email \
             FROM job_queues q JOIN jobs j ON j.id = q.job_id JOIN users u ON u.id = q.user_id \
             WHERE q.queue = $1 AND q.open > 0 {own}ORDER BY q.job_id LIMIT $2"
        );
        let entry = |row: &super::row::Row| {
            Ok(UpstreamQueueEntry {
                job: row.get("job_id")?,
                kind: row.get("kind")?,
                title: row.get("title")?,
                owner: row.get("email")?,
                is_own: row.get::<UserId>("user_id")? == reader.user,
                paused: row.get("paused")?,
                open: row.get("open")?,
            })
        };
        query_all(&self.db.reader, &sql, values).await?.iter().map(entry).collect()
    }

    /// Returns those of the last failed attempts in a queue that `reader` may see, newest first.
    /// Reads a bounded number of attempts.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn failed_attempts(
        &self,
        queue: &str,
        reader: QueueReader,
    ) -> Result<Vec<FailedAttempt>, Error> {
        let mut values: Vec<Value> = vec![queue.into(), FAILED_ATTEMPTS_LIMIT.into()];
        let mut own = "";
        if !reader.sees_all {
            values.push(reader.user.0.into());
            own = "WHERE t.user_id = $3 ";
        }
        let sql = format!(
            "SELECT a.task_id, a.ended_at, a.outcome, t.user_id, t.job_id FROM \
             (SELECT task_id, ended_at, outcome FROM attempts WHERE failed_queue = $1 \
             ORDER BY ended_at DESC LIMIT $2) a \
             JOIN tasks t ON t.id = a.task_id {own}ORDER BY a.ended_at DESC"
        );
        let attempt = |row: &super::row::Row| {
            Ok(FailedAttempt {
                user: row.get("user_id")?,
                job: row.get("job_id")?,
                task: row.get("task_id")?,
                outcome: row.json("outcome")?,
                ended_at: row.get("ended_at")?,
            })
        };
        query_all(&self.db.reader, &sql, values).await?.iter().map(attempt).collect()
    }

    /// Returns the queues of tasks.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn queues_of_tasks(
        &self,
        tasks: &[TaskId],
    ) -> Result<HashMap<TaskId, String>, Error> {
        let mut queues = HashMap::with_capacity(tasks.len());
        let sql =
            format!("SELECT id, queue FROM tasks WHERE {}", is_one_of(&self.db.reader, "id", 1));
        for tasks in tasks.chunks(MAX_ROWS_PER_STATEMENT) {
            for row in query_all(&self.db.reader, &sql, [id_list(tasks.iter().copied())]).await? {
                queues.insert(row.get("id")?, row.get("queue")?);
            }
        }
        Ok(queues)
    }
}
