//! Search by name: jobs by title, items by SKU.

use super::{
    Error, Jobs, query_all,
    read::like_pattern,
    row::{self, FromRow, rows},
    schema::bytewise_collation,
};
use contract::{
    UserId,
    api::{Job, Task},
    text,
};
use sea_orm::DbBackend;

/// Number of a user's newest jobs whose titles are searched: titles have no index.
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

    /// Returns the user's tasks whose SKU begins with `search_text`, regardless of
    /// case, by SKU and then newest first, at most `limit`; each with its job's
    /// title. Reads one range of an index.
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
        let sql = format!(
            "SELECT {}, (SELECT title FROM jobs WHERE jobs.id = tasks.job_id) AS job_title \
             FROM tasks WHERE user_id = $1 AND {sku} >= LOWER($2) AND {sku} < LOWER($2) || $3 \
             ORDER BY {sku}, id DESC LIMIT $4",
            row::TASK_COLUMNS
        );
        let values =
            [user.0.into(), search_text.into(), LAST_CHARACTER.into(), i64::from(limit).into()];
        query_all(&self.db.reader, &sql, values)
            .await?
            .iter()
            .map(|found| Ok((Task::from_row(found)?, found.get("job_title")?)))
            .collect()
    }
}
