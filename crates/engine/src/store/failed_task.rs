//! Failed tasks of all users with their commands: for those who run the system.

use super::{
    Error, Jobs, query_one,
    row::{self, FromRow, Row, rows},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Attempt, Outcome, Task},
    envelope::{CommandMessage, EnvelopeError},
    state::TaskState,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Number of the newest failed tasks that are read and grouped by reason.
pub const FAILED_TASKS_LIMIT: u32 = 2_000;
/// Number of hexadecimal digits of a reason's id.
const REASON_ID_LENGTH: usize = 16;

/// A task that failed or was rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedTask {
    /// Id of the task.
    pub id: TaskId,
    /// Its job.
    pub job: JobId,
    /// Address of its owner.
    pub owner: String,
    /// Kind of its command.
    pub kind: String,
    /// Queue of its command.
    pub queue: String,
    /// Its sales channel, where it has one.
    pub channel: Option<String>,
    /// SKU or machine.
    pub sku: String,
    /// Title of the product or name of the machine.
    pub title: String,
    /// Whether it failed or was rejected.
    pub state: TaskState,
    /// Why.
    pub outcome: Outcome,
    /// Time at which it failed, UTC ms.
    pub updated_at: i64,
}

/// What failed tasks have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureReason {
    /// Id, the same in every process.
    pub id: String,
    /// One of the tasks, the last that failed.
    pub newest: FailedTask,
    /// Number of tasks.
    pub tasks: u32,
    /// Number of their jobs.
    pub jobs: u32,
    /// Number of their owners.
    pub owners: u32,
}

/// A task with its command and its attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTask {
    /// The task.
    pub task: Task,
    /// Its owner.
    pub owner: UserId,
    /// Address of its owner.
    pub owner_email: String,
    /// Title of its job.
    pub job_title: String,
    /// Version of the command's body.
    pub version: u16,
    /// Queue of the command.
    pub queue: String,
    /// Body of the command.
    pub body: Value,
    /// Whether the handler has done a part of the work, such as launching a machine.
    pub has_begun: bool,
    /// Fence of the next message.
    pub fence: i64,
    /// Trace of the request that caused the task.
    pub traceparent: Option<String>,
    /// Number of times that an admin has edited the body.
    pub revision: u32,
    /// Address of the admin who edited it last.
    pub edited_by: Option<String>,
    /// Time of the last edit, UTC ms.
    pub edited_at: Option<i64>,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl FailedTask {
    /// Returns the id of the reason for which the task failed: the same for tasks of one queue
    /// with the same message.
    pub fn reason_id(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.queue, &self.outcome.code, &self.outcome.message] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut id = hex::encode(hash.finalize());
        id.truncate(REASON_ID_LENGTH);
        id
    }
}

impl FailureReason {
    /// Groups tasks, which are sorted from the newest to the oldest, by their reason. The reasons
    /// with the most tasks come first.
    pub fn group(tasks: &[FailedTask]) -> Vec<Self> {
        let mut by_reason: BTreeMap<String, Vec<&FailedTask>> = BTreeMap::new();
        for task in tasks {
            by_reason.entry(task.reason_id()).or_default().push(task);
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut reasons: Vec<_> = by_reason
            .into_iter()
            .filter_map(|(id, tasks)| {
                Some(Self {
                    id,
                    newest: (*tasks.first()?).clone(),
                    tasks: count(tasks.len()),
                    jobs: count(tasks.iter().map(|task| task.job).collect::<BTreeSet<_>>().len()),
                    owners: count(
                        tasks.iter().map(|task| &task.owner).collect::<BTreeSet<_>>().len(),
                    ),
                })
            })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse((reason.tasks, reason.newest.updated_at)));
        reasons
    }
}

impl StoredTask {
    /// Returns the message of the task's command as the relay publishes it, as JSON.
    ///
    /// # Errors
    /// The command can't be written as JSON.
    pub fn message(&self) -> Result<Value, EnvelopeError> {
        let message = CommandMessage {
            task: self.task.id,
            job: self.task.job,
            user: self.owner,
            fence: self.fence,
            kind: self.task.kind.clone(),
            version: self.version,
            queue: self.queue.clone(),
            traceparent: self.traceparent.clone(),
            body: self.body.clone(),
        };
        Ok(serde_json::from_slice(&message.encode(self.task.updated_at)?)?)
    }
}

impl Jobs {
    /// Returns the tasks of all users that failed or were rejected last, newest first, at most
    /// [`FAILED_TASKS_LIMIT`].
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn failed_tasks_of_all(&self) -> Result<Vec<FailedTask>, Error> {
        let sql = "SELECT t.id, t.job_id, t.kind, t.queue, t.channel, t.sku, t.title, t.state, \
                   t.outcome, t.updated_at, u.email FROM tasks t JOIN users u ON u.id = t.user_id \
                   WHERE t.state IN ('failed', 'rejected') ORDER BY t.updated_at DESC LIMIT $1";
        rows(&self.db.reader, sql, [i64::from(FAILED_TASKS_LIMIT).into()]).await
    }

    /// Returns a task of any user with its command and its attempts.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::NotFound`] where there is no such task.
    pub async fn task_of_any(&self, task: TaskId) -> Result<StoredTask, Error> {
        let sql = format!(
            "SELECT {}, user_id, version, queue, body, fence, traceparent, revision, edited_by, \
             edited_at, has_begun, \
             (SELECT email FROM users WHERE users.id = tasks.user_id) AS email, \
             (SELECT title FROM jobs WHERE jobs.id = tasks.job_id) AS job_title \
             FROM tasks WHERE id = $1",
            row::TASK_COLUMNS
        );
        let found = query_one(&self.db.reader, &sql, [task.0.into()]).await?;
        let found = found.ok_or(Error::NotFound)?;
        Ok(StoredTask {
            task: Task::from_row(&found)?,
            owner: found.get("user_id")?,
            owner_email: found.get("email")?,
            job_title: found.get("job_title")?,
            version: found.get("version")?,
            queue: found.get("queue")?,
            body: found.json("body")?,
            has_begun: found.get("has_begun")?,
            fence: found.get("fence")?,
            traceparent: found.get("traceparent")?,
            revision: found.get("revision")?,
            edited_by: found.get("edited_by")?,
            edited_at: found.get("edited_at")?,
            attempts: self.attempts(task).await?,
        })
    }
}

impl FromRow for FailedTask {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let unknown = || Outcome::new("unknown", "Nothing was recorded about it.");
        Ok(Self {
            id: row.get("id")?,
            job: row.get("job_id")?,
            owner: row.get("email")?,
            kind: row.get("kind")?,
            queue: row.get("queue")?,
            channel: row.get("channel")?,
            sku: row.get("sku")?,
            title: row.get("title")?,
            state: row.get("state")?,
            outcome: row.optional_json("outcome")?.unwrap_or_else(unknown),
            updated_at: row.get("updated_at")?,
        })
    }
}
