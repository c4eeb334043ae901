//! What pages and programs read; every read is scoped by user.

use super::{Error, Store, all, one, row};
use contract::{
    JobId, TaskId, UserId,
    api::{Attempt, Job, Page, Task, TaskDetail},
    state::{JobKind, JobState, TaskState},
    text::{self, TextError},
};
use sea_orm::Value;
use uuid::Uuid;

/// Which jobs a list shows.
#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    /// Older than this one.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: u32,
    pub state: Option<JobState>,
    pub kind: Option<JobKind>,
    /// Somewhere in the title, in upper or lower case.
    pub words: Option<String>,
}

/// Which tasks of a job a list shows.
#[derive(Clone, Debug, Default)]
pub struct TaskQuery {
    /// Behind this row and id.
    pub after: Option<(i64, Uuid)>,
    /// At most so many.
    pub limit: u32,
    pub state: Option<TaskState>,
    pub channel: Option<String>,
    /// Somewhere in SKU or title, in upper or lower case.
    pub words: Option<String>,
}

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
        self.find_jobs(user, JobQuery { before, limit, ..JobQuery::default() }).await
    }

    /// The user's jobs that run, newest first, at most `limit`.
    pub async fn running_jobs(&self, user: UserId, limit: u32) -> Result<Vec<Job>, Error> {
        let sql = format!(
            "SELECT {} FROM jobs WHERE user_id = $1 AND state = 'running' ORDER BY id DESC LIMIT $2",
            row::JOB
        );
        let rows = all(&self.reader, &sql, [user.0.into(), i64::from(limit).into()]).await?;
        rows.iter().map(row::job).collect()
    }

    /// The user's jobs that match, newest first.
    pub async fn find_jobs(&self, user: UserId, query: JobQuery) -> Result<Page<Job>, Error> {
        let before = query.before.map_or(Uuid::max(), |job| job.0);
        let mut sql = format!("SELECT {} FROM jobs WHERE user_id = $1 AND id < $2", row::JOB);
        let mut values: Vec<Value> = vec![user.0.into(), before.into()];
        let words = [
            ("state", query.state.map(JobState::as_str)),
            ("kind", query.kind.map(JobKind::as_str)),
        ];
        for (column, word) in words {
            if let Some(word) = word {
                values.push(word.into());
                sql.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        if let Some(words) = query.words {
            values.push(containing(&words)?.into());
            sql.push_str(&format!(" AND LOWER(title) LIKE LOWER(${}) ESCAPE '\\'", values.len()));
        }
        values.push(i64::from(query.limit).into());
        sql.push_str(&format!(" ORDER BY id DESC LIMIT ${}", values.len()));
        let items = all(&self.reader, &sql, values)
            .await?
            .iter()
            .map(row::job)
            .collect::<Result<Vec<_>, _>>()?;
        let full = items.len() == query.limit as usize;
        let next = items.last().filter(|_| full).map(|job| job.id.to_string());
        Ok(Page { items, next })
    }

    /// Tasks of a job in the order of the grid, behind the row and id of
    /// `after`.
    pub async fn tasks(
        &self,
        user: UserId,
        job: JobId,
        after: Option<(i64, Uuid)>,
        limit: u32,
    ) -> Result<Vec<Task>, Error> {
        self.find_tasks(user, job, TaskQuery { after, limit, ..TaskQuery::default() }).await
    }

    /// Tasks of a job that match, in the order of the grid.
    pub async fn find_tasks(
        &self,
        user: UserId,
        job: JobId,
        query: TaskQuery,
    ) -> Result<Vec<Task>, Error> {
        let (row_no, id) = query.after.unwrap_or((-1, Uuid::nil()));
        let mut sql = format!(
            "SELECT {} FROM tasks WHERE job_id = $1 AND user_id = $2 AND (row_no, id) > ($3, $4)",
            row::TASK
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
        if let Some(words) = query.words {
            values.push(containing(&words)?.into());
            let like = format!("LIKE LOWER(${}) ESCAPE '\\'", values.len());
            sql.push_str(&format!(" AND (LOWER(sku) {like} OR LOWER(title) {like})"));
        }
        values.push(i64::from(query.limit).into());
        sql.push_str(&format!(" ORDER BY row_no, id LIMIT ${}", values.len()));
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
            // By the index of all that runs, which is no more than workers do.
            "SELECT id FROM tasks WHERE state = 'running' AND lease_until IS NOT NULL \
             AND user_id = $1 ORDER BY id LIMIT 1000",
            [user.0.into()],
        )
        .await?
        .iter()
        .map(|found| Ok(TaskId(found.try_get("", "id")?)))
        .collect()
    }
}

/// A pattern for `LIKE … ESCAPE '\'` of what contains `words` literally.
///
/// # Errors
/// The words are too long, or hold a control character.
pub(super) fn containing(words: &str) -> Result<String, TextError> {
    text::SEARCH.check(words)?;
    let mut pattern = String::from("%");
    for letter in words.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    Ok(pattern)
}
