//! What a person looks for by name: jobs by title, items by SKU.

use super::{Error, Store, all, read::containing, row, schema::bytewise};
use contract::{
    UserId,
    api::{Job, Task},
    text,
};
use sea_orm::DbBackend;

/// Jobs whose titles are looked at: a title has no index.
const JOBS_READ: i64 = 5_000;
/// No SKU has a letter behind this one: the end of a range of what begins
/// alike.
const LAST: &str = "\u{10ffff}";

impl Store {
    /// The user's jobs with `words` in their title, in upper or lower case,
    /// newest first, at most `limit`, of the newest 5,000.
    pub async fn search_jobs(
        &self,
        user: UserId,
        words: &str,
        limit: u32,
    ) -> Result<Vec<Job>, Error> {
        let sql = format!(
            "SELECT {job} FROM (SELECT {job} FROM jobs WHERE user_id = $1 \
             ORDER BY id DESC LIMIT {JOBS_READ}) AS newest \
             WHERE LOWER(title) LIKE LOWER($2) ESCAPE '\\' ORDER BY id DESC LIMIT $3",
            job = row::JOB
        );
        let values = [user.0.into(), containing(words)?.into(), i64::from(limit).into()];
        all(&self.reader, &sql, values).await?.iter().map(row::job).collect()
    }

    /// The user's tasks whose SKU begins with `words`, in upper or lower case,
    /// by SKU and then newest first, at most `limit`; each with its job's
    /// title. One range of an index.
    pub async fn search_items(
        &self,
        user: UserId,
        words: &str,
        limit: u32,
    ) -> Result<Vec<(Task, String)>, Error> {
        text::SEARCH.check(words)?;
        let sku = format!(
            "LOWER(sku){}",
            bytewise(self.reader.get_database_backend() == DbBackend::Sqlite)
        );
        let sql = format!(
            "SELECT {}, (SELECT title FROM jobs WHERE jobs.id = tasks.job_id) AS job_title \
             FROM tasks WHERE user_id = $1 AND {sku} >= LOWER($2) AND {sku} < LOWER($2) || $3 \
             ORDER BY {sku}, id DESC LIMIT $4",
            row::TASK
        );
        let values = [user.0.into(), words.into(), LAST.into(), i64::from(limit).into()];
        all(&self.reader, &sql, values)
            .await?
            .iter()
            .map(|found| Ok((row::task(found)?, found.try_get("", "job_title")?)))
            .collect()
    }
}
