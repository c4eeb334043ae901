//! The slowest tasks of a job, with what their time is told from.

use super::{
    Error, Jobs, Journal,
    journal::FACT_COLUMNS,
    query_all,
    row::{self, FromRow},
    row_set::{id_list, is_one_of},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Attempt, Task},
    fact::Fact,
};

/// Number of facts that are read of the slowest tasks.
const FACTS_LIMIT: i64 = 2_000;

/// A task with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedTask {
    /// The task.
    pub task: Task,
    /// Time at which it was created, UTC ms.
    pub created_at: i64,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl Jobs {
    /// Returns the tasks of a job that took longest from their creation to their last change, or
    /// until now if they have not ended, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn slowest_tasks(
        &self,
        user: UserId,
        job: JobId,
        limit: u32,
    ) -> Result<Vec<TimedTask>, Error> {
        let sql = format!(
            "SELECT {}, created_at FROM tasks WHERE job_id = $1 AND user_id = $2 \
             ORDER BY CASE WHEN state IN ('queued', 'running') THEN $3 ELSE updated_at END \
             - created_at DESC, row_no, id LIMIT $4",
            row::TASK_COLUMNS
        );
        let values =
            [job.0.into(), user.0.into(), self.db.now_ms().into(), i64::from(limit).into()];
        let mut timed = Vec::new();
        for found in query_all(&self.db.reader, &sql, values).await? {
            let task = Task::from_row(&found)?;
            let attempts = self.attempts(task.id).await?;
            timed.push(TimedTask { task, created_at: found.get("created_at")?, attempts });
        }
        Ok(timed)
    }
}

impl Journal {
    /// Returns the facts of some tasks of a job, oldest first, at most 2,000.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn facts_of_tasks(
        &self,
        user: UserId,
        job: JobId,
        tasks: &[TaskId],
    ) -> Result<Vec<Fact>, Error> {
        let sql = format!(
            "SELECT {} FROM journal WHERE job_id = $1 AND user_id = $2 AND {} ORDER BY seq LIMIT $4",
            FACT_COLUMNS,
            is_one_of(&self.db.reader, "task_id", 3)
        );
        let values =
            [job.0.into(), user.0.into(), id_list(tasks.iter().copied()), FACTS_LIMIT.into()];
        row::rows(&self.db.reader, &sql, values).await
    }
}
