//! What pages and programs read; every read is scoped by user.

use super::{Error, Store, all, one, row};
use contract::{
    JobId, TaskId, UserId,
    api::{Attempt, Job, Page, Task, TaskDetail},
};
use sea_orm::Value;
use uuid::Uuid;

impl Store {
    /// One job of the user.
    pub async fn job(&self, user: UserId, job: JobId) -> Result<Job, Error> {
        let sql = format!("SELECT {} FROM jobs WHERE id = $1 AND user_id = $2", row::JOB);
        let found = one(&self.reader, &sql, [job.0.into(), user.0.into()]).await?;
        row::job(&found.ok_or(Error::NotFound)?)
    }

    /// The user's jobs, newest first, older than `before`.
    pub async fn jobs(
        &self,
        user: UserId,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<Page<Job>, Error> {
        let sql = format!(
            "SELECT {} FROM jobs WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            row::JOB
        );
        let before = before.map_or(Uuid::max(), |job| job.0);
        let values: [Value; 3] = [user.0.into(), before.into(), i64::from(limit).into()];
        let items = all(&self.reader, &sql, values)
            .await?
            .iter()
            .map(row::job)
            .collect::<Result<Vec<_>, _>>()?;
        let full = items.len() == limit as usize;
        let next = items.last().filter(|_| full).map(|job| job.id.to_string());
        Ok(Page { items, next })
    }

    /// Tasks of a job in the order of the grid, behind the row and id of
    /// `cursor`.
    pub async fn tasks(
        &self,
        user: UserId,
        job: JobId,
        cursor: Option<(i64, Uuid)>,
        limit: u32,
    ) -> Result<Vec<Task>, Error> {
        let (row_no, id) = cursor.unwrap_or((-1, Uuid::nil()));
        let sql = format!(
            "SELECT {} FROM tasks WHERE job_id = $1 AND user_id = $2 AND (row_no, id) > ($3, $4) \
             ORDER BY row_no, id LIMIT $5",
            row::TASK
        );
        let values: [Value; 5] =
            [job.0.into(), user.0.into(), row_no.into(), id.into(), i64::from(limit).into()];
        all(&self.reader, &sql, values).await?.iter().map(row::task).collect()
    }

    /// One task with what was tried.
    pub async fn task(&self, user: UserId, task: TaskId) -> Result<TaskDetail, Error> {
        let sql = format!("SELECT {}, body FROM tasks WHERE id = $1 AND user_id = $2", row::TASK);
        let found = one(&self.reader, &sql, [task.0.into(), user.0.into()]).await?;
        let found = found.ok_or(Error::NotFound)?;
        let attempts = all(
            &self.reader,
            "SELECT number, started_at, ended_at, worker, outcome FROM attempts \
             WHERE task_id = $1 ORDER BY fence",
            [task.0.into()],
        )
        .await?
        .iter()
        .map(|found| {
            Ok(Attempt {
                number: row::count(found, "number")?,
                started_at: found.try_get("", "started_at")?,
                ended_at: found.try_get("", "ended_at")?,
                worker: found.try_get("", "worker")?,
                outcome: row::json(found, "outcome")?,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
        Ok(TaskDetail { task: row::task(&found)?, attempts, body: row::json(&found, "body")? })
    }

    /// Tasks of the user whose calls are under way.
    pub async fn running(&self, user: UserId) -> Result<Vec<TaskId>, Error> {
        all(
            &self.reader,
            "SELECT t.id FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.state = 'running' \
             WHERE j.user_id = $1 AND j.state = 'running' ORDER BY t.id LIMIT 1000",
            [user.0.into()],
        )
        .await?
        .iter()
        .map(|found| Ok(TaskId(found.try_get("", "id")?)))
        .collect()
    }
}
