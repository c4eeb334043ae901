//! What runs, waits and went wrong, of all users: for those who run the system.

use super::{
    Error, Jobs,
    row::{self, FromRow, Row, rows},
};
use contract::{JobId, TaskId, api::Job};
use uuid::Uuid;

/// A task that a worker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTask {
    /// Name of the worker.
    pub worker: String,
    /// The task.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// Kind of its command.
    pub kind: String,
    /// SKU or machine.
    pub sku: String,
    /// Start of the attempt, UTC ms.
    pub started_at: i64,
    /// Number of the attempt.
    pub attempt: u32,
}

/// A running job together with its owner's address.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedJob {
    /// The job.
    pub job: Job,
    /// Address of its owner.
    pub owner: String,
}

/// A message that no worker could read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedMessage {
    /// Id of the record.
    pub id: Uuid,
    /// Queue that it came from.
    pub queue: String,
    /// The message; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Why it was rejected.
    pub reason: String,
    /// When it was rejected, UTC ms.
    pub at: i64,
}

impl Jobs {
    /// Returns the tasks that workers hold, the longest-running first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn held_tasks(&self, limit: u32) -> Result<Vec<HeldTask>, Error> {
        let sql = "SELECT lease_owner, id, job_id, kind, sku, started_at, attempt FROM tasks \
                   WHERE state = 'running' ORDER BY started_at LIMIT $1";
        rows(&self.db.reader, sql, [i64::from(limit).into()]).await
    }

    /// Returns the running jobs of all users, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn running_jobs_of_all(&self, limit: u32) -> Result<Vec<OwnedJob>, Error> {
        let columns = row::JOB_COLUMNS.replace(", ", ", j.");
        let sql = format!(
            "SELECT j.{columns}, u.email FROM jobs j JOIN users u ON u.id = j.user_id \
             WHERE j.state = 'running' ORDER BY j.id LIMIT $1"
        );
        rows(&self.db.reader, &sql, [i64::from(limit).into()]).await
    }

    /// Returns the messages that no worker could read, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn rejected_messages(&self, limit: u32) -> Result<Vec<RejectedMessage>, Error> {
        let sql = "SELECT id, queue, bytes, reason, at FROM rejected_messages \
                   ORDER BY id DESC LIMIT $1";
        rows(&self.db.reader, sql, [i64::from(limit).into()]).await
    }
}

impl FromRow for HeldTask {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            worker: row.get::<Option<String>>("lease_owner")?.unwrap_or_default(),
            task: row.get("id")?,
            job: row.get("job_id")?,
            kind: row.get("kind")?,
            sku: row.get("sku")?,
            started_at: row.get::<Option<i64>>("started_at")?.unwrap_or_default(),
            attempt: row.get("attempt")?,
        })
    }
}

impl FromRow for OwnedJob {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { job: Job::from_row(row)?, owner: row.get("email")? })
    }
}

impl FromRow for RejectedMessage {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            queue: row.get("queue")?,
            text: row.get("bytes")?,
            reason: row.get("reason")?,
            at: row.get("at")?,
        })
    }
}
