//! Search by name: jobs by title, items by SKU.

use super::{
    Error, Jobs, query_all,
    read::like_pattern,
    row::{self, rows},
    schema::bytewise_collation,
};
use contract::{
    UserId,
    api::{Job, Task},
    text,
};
use sea_orm::DbBackend;
use uuid::Uuid;

/// Number of a user's newest jobs that are searched: titles have no index, and each job
/// is one lookup in the index of SKUs.
const MAX_JOBS_SEARCHED: i64 = 5_000;
/// The last Unicode character, which no SKU contains: the end of the range of texts
/// with a common prefix.
const LAST_CHARACTER: &str = "\u{10ffff}";

impl Jobs {
    /// Returns those of the user's newest 5,000 jobs whose title contains
    /// `search_text`, regardless of case, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::Text`] where the search
    /// text is invalid.
    pub async fn search_jobs(
        &self,
        user: UserId,
        search_text: &str,
        limit: u32,
    ) -> Result<Vec<Job>, Error> {
        let sql = format!(
            "SELECT {job} FROM (SELECT {job} FROM jobs WHERE user_id = $1 \
             ORDER BY id DESC LIMIT {MAX_JOBS_SEARCHED}) AS newest \
             WHERE LOWER(title) LIKE LOWER($2) ESCAPE '\\' ORDER BY id DESC LIMIT $3",
            job = row::JOB_COLUMNS
        );
        let values = [user.0.into(), like_pattern(search_text)?.into(), i64::from(limit).into()];
        rows(&self.db.reader, &sql, values).await
    }

    /// Returns the tasks of the user's newest 5,000 jobs whose SKU begins with
    /// `search_text`, regardless of case: the newest job first, within a job by SKU, at
    /// most `limit`; each with its job's title.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::Text`] where the search
    /// text is invalid.
    pub async fn search_items(
        &self,
        user: UserId,
        search_text: &str,
        limit: u32,
    ) -> Result<Vec<(Task, String)>, Error> {
        text::SEARCH.check(search_text)?;
        let sku = format!(
            "LOWER(sku){}",
            bytewise_collation(self.db.reader.get_database_backend() == DbBackend::Sqlite)
        );
        let matches = format!("{sku} >= LOWER($2) AND {sku} < LOWER($2) || $3");
        let prefix = || [search_text.into(), LAST_CHARACTER.into()];
        let jobs_sql = format!(
            "SELECT id, title FROM jobs WHERE user_id = $1 AND id >= COALESCE((SELECT id \
             FROM jobs WHERE user_id = $1 ORDER BY id DESC LIMIT 1 OFFSET {last}), $5) \
             AND EXISTS (SELECT 1 FROM tasks WHERE job_id = jobs.id AND {matches}) \
             ORDER BY id DESC LIMIT $4",
            last = MAX_JOBS_SEARCHED - 1
        );
        let items_sql = format!(
            "SELECT {} FROM tasks WHERE job_id = $1 AND {matches} ORDER BY {sku}, id LIMIT $4",
            row::TASK_COLUMNS
        );
        let [text, end] = prefix();
        let values = [user.0.into(), text, end, i64::from(limit).into(), Uuid::nil().into()];
        let limit = limit as usize;
        let mut items = Vec::new();
        for job in query_all(&self.db.reader, &jobs_sql, values).await? {
            let remaining = i64::try_from(limit - items.len()).unwrap_or(i64::MAX);
            if remaining == 0 {
                break;
            }
            let (id, title): (Uuid, String) = (job.get("id")?, job.get("title")?);
            let [text, end] = prefix();
            let values = [id.into(), text, end, remaining.into()];
            let tasks: Vec<Task> = rows(&self.db.reader, &items_sql, values).await?;
            items.extend(tasks.into_iter().map(|task| (task, title.clone())));
        }
        Ok(items)
    }
}
