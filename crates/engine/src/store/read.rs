//! Queries of pages and programs, each restricted to one user.

use super::{
    Error, Jobs, query_all, query_one,
    row::{self, FromRow, rows},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Attempt, Job, Page, Task, TaskDetail},
    state::{JobKind, JobState, TaskState},
    text::{self, TextError},
};
use sea_orm::Value;
use uuid::Uuid;

/// Selects the jobs of a list.
#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    /// Only jobs older than this one.
    pub before: Option<JobId>,
    /// Maximum number of jobs.
    pub limit: u32,
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs of this kind.
    pub kind: Option<JobKind>,
    /// Text that the title contains, regardless of case.
    pub search_text: Option<String>,
}

/// Selects the tasks of a list.
#[derive(Clone, Debug, Default)]
pub struct TaskQuery {
    /// Only tasks after this row and id.
    pub after: Option<(i64, Uuid)>,
    /// Maximum number of tasks.
    pub limit: u32,
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only tasks of this channel.
    pub channel: Option<String>,
    /// Text that SKU or title contain, regardless of case.
    pub search_text: Option<String>,
}

impl Jobs {
    /// Returns one job of the user.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::NotFound`] where the user
    /// has no such job.
    pub async fn job(&self, user: UserId, job: JobId) -> Result<Job, Error> {
        let sql = format!("SELECT {} FROM jobs WHERE id = $1 AND user_id = $2", row::JOB_COLUMNS);
        let found = query_one(&self.db.reader, &sql, [job.0.into(), user.0.into()]).await?;
        Job::from_row(&found.ok_or(Error::NotFound)?)
    }

    /// Returns the user's jobs that are older than `before`, newest first, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn jobs(
        &self,
        user: UserId,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<Page<Job>, Error> {
        self.find_jobs(user, JobQuery { before, limit, ..JobQuery::default() }).await
    }

    /// Returns the user's running jobs, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn running_jobs(&self, user: UserId, limit: u32) -> Result<Vec<Job>, Error> {
        let sql = format!(
            "SELECT {} FROM jobs WHERE user_id = $1 AND state = 'running' ORDER BY id DESC LIMIT $2",
            row::JOB_COLUMNS
        );
        rows(&self.db.reader, &sql, [user.0.into(), i64::from(limit).into()]).await
    }

    /// Returns the user's jobs that match, newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::Text`] where the search
    /// text is invalid.
    pub async fn find_jobs(&self, user: UserId, query: JobQuery) -> Result<Page<Job>, Error> {
        let before = query.before.map_or(Uuid::max(), |job| job.0);
        let mut sql =
            format!("SELECT {} FROM jobs WHERE user_id = $1 AND id < $2", row::JOB_COLUMNS);
        let mut values: Vec<Value> = vec![user.0.into(), before.into()];
        let filters = [
            ("state", query.state.map(JobState::as_str)),
            ("kind", query.kind.map(JobKind::as_str)),
        ];
        for (column, value) in filters {
            if let Some(value) = value {
                values.push(value.into());
                sql.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        if let Some(search_text) = query.search_text {
            values.push(like_pattern(&search_text)?.into());
            sql.push_str(&format!(" AND LOWER(title) LIKE LOWER(${}) ESCAPE '\\'", values.len()));
        }
        values.push(i64::from(query.limit).into());
        sql.push_str(&format!(" ORDER BY id DESC LIMIT ${}", values.len()));
        let items: Vec<Job> = rows(&self.db.reader, &sql, values).await?;
        let full = items.len() == query.limit as usize;
        let next = items.last().filter(|_| full).map(|job| job.id.to_string());
        Ok(Page { items, next })
    }

    /// Returns tasks of a job in the order of the grid, after the row and id of
    /// `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn tasks(
        &self,
        user: UserId,
        job: JobId,
        after: Option<(i64, Uuid)>,
        limit: u32,
    ) -> Result<Vec<Task>, Error> {
        self.find_tasks(user, job, TaskQuery { after, limit, ..TaskQuery::default() }).await
    }

    /// Returns the tasks of a job that match, in the order of the grid.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::Text`] where the search
    /// text is invalid.
    pub async fn find_tasks(
        &self,
        user: UserId,
        job: JobId,
        query: TaskQuery,
    ) -> Result<Vec<Task>, Error> {
        let (row_no, id) = query.after.unwrap_or((-1, Uuid::nil()));
        let mut sql = format!(
            "SELECT {} FROM tasks WHERE job_id = $1 AND user_id = $2 AND (row_no, id) > ($3, $4)",
            row::TASK_COLUMNS
        );
        let mut values: Vec<Value> = vec![job.0.into(), user.0.into(), row_no.into(), id.into()];
        if let Some(state) = query.state {
            values.push(state.as_str().into());
            sql.push_str(&format!(" AND state = ${}", values.len()));
        }
        if let Some(channel) = query.channel {
            values.push(channel.into());
            sql.push_str(&format!(" AND channel = ${}", values.len()));
        }
        if let Some(search_text) = query.search_text {
            values.push(like_pattern(&search_text)?.into());
            let like = format!("LIKE LOWER(${}) ESCAPE '\\'", values.len());
            sql.push_str(&format!(" AND (LOWER(sku) {like} OR LOWER(title) {like})"));
        }
        values.push(i64::from(query.limit).into());
        sql.push_str(&format!(" ORDER BY row_no, id LIMIT ${}", values.len()));
        rows(&self.db.reader, &sql, values).await
    }

    /// Returns one task with its attempts.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::NotFound`] where the user
    /// has no such task.
    pub async fn task(&self, user: UserId, task: TaskId) -> Result<TaskDetail, Error> {
        let sql = format!(
            "SELECT {}, body, edited_at FROM tasks WHERE id = $1 AND user_id = $2",
            row::TASK_COLUMNS
        );
        let found = query_one(&self.db.reader, &sql, [task.0.into(), user.0.into()]).await?;
        let found = found.ok_or(Error::NotFound)?;
        Ok(TaskDetail {
            task: Task::from_row(&found)?,
            attempts: self.attempts(task).await?,
            body: found.json("body")?,
            edited_at: found.get("edited_at")?,
        })
    }

    /// Returns the recorded attempts of a task, oldest first.
    pub(super) async fn attempts(&self, task: TaskId) -> Result<Vec<Attempt>, Error> {
        query_all(
            &self.db.reader,
            "SELECT number, started_at, ended_at, worker, outcome FROM attempts \
             WHERE task_id = $1 ORDER BY fence",
            [task.0.into()],
        )
        .await?
        .iter()
        .map(|found| {
            Ok(Attempt {
                number: found.get("number")?,
                started_at: found.get("started_at")?,
                ended_at: found.get("ended_at")?,
                worker: found.get("worker")?,
                outcome: found.json("outcome")?,
            })
        })
        .collect()
    }

    /// Returns the user's running tasks, at most 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn running_task_ids(&self, user: UserId) -> Result<Vec<TaskId>, Error> {
        query_all(
            &self.db.reader,
            // Uses the index of all running tasks, of which there are no more than
            // workers have slots.
            "SELECT id FROM tasks WHERE state = 'running' AND lease_until IS NOT NULL \
             AND user_id = $1 ORDER BY id LIMIT 1000",
            [user.0.into()],
        )
        .await?
        .iter()
        .map(|found| found.get("id"))
        .collect()
    }
}

/// Returns a pattern for `LIKE … ESCAPE '\'` that matches texts which contain
/// `search_text` literally.
///
/// # Errors
/// The search text is too long, or contains a control character.
pub(super) fn like_pattern(search_text: &str) -> Result<String, TextError> {
    text::SEARCH.check(search_text)?;
    let mut pattern = String::from("%");
    for letter in search_text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    Ok(pattern)
}
