//! The grid of a job: a row a product or machine, filtered, searched and cut
//! to a window by the database.

use super::{Error, Store, all, one, read::containing, row};
use contract::{
    JobId, UserId,
    api::{Filter, Grid, GridRow, Job, Task},
    command::ProductUpload,
    state::TaskState,
    text::TextError,
};
use sea_orm::Value;
use uuid::Uuid;

/// Which rows of a grid are asked for.
#[derive(Clone, Debug)]
pub struct GridQuery {
    pub filter: Filter,
    /// Somewhere in SKU or title, in upper or lower case; empty: any.
    pub words: String,
    /// Place of the first row among those that match.
    pub offset: u32,
    /// At most so many rows.
    pub limit: u32,
}

/// One upload that failed.
#[derive(Clone, Debug)]
pub struct FailedUpload {
    /// Row and id of its task: the order of the grid.
    pub place: (i64, Uuid),
    pub upload: ProductUpload,
    pub reason: String,
}

impl Store {
    /// A window of the rows that match, each with all its cells.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn grid(&self, user: UserId, job: JobId, query: &GridQuery) -> Result<Grid, Error> {
        let job = self.job(user, job).await?;
        let (found, values) = rows_that_match(job.id, query)?;
        let sql = format!("SELECT COUNT(*) AS matching FROM ({found}) AS found");
        let matching = one(&self.reader, &sql, values.clone()).await?.ok_or(Error::NotFound)?;
        let matching = row::count(&matching, "matching")?;
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        let sql = format!(
            "SELECT {} FROM tasks WHERE job_id = $1 AND row_no IN (SELECT row_no FROM ({found}) \
             AS found ORDER BY row_no LIMIT ${limit} OFFSET ${offset}) ORDER BY row_no, id",
            row::TASK
        );
        let window = [i64::from(query.limit).into(), i64::from(query.offset).into()];
        let tasks = all(&self.reader, &sql, values.into_iter().chain(window))
            .await?
            .iter()
            .map(row::task)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Grid { matching, offset: query.offset, rows: rows(&job, tasks) })
    }

    /// Returns uploads of a job that failed, in the order of the grid, each
    /// with its reason; of one channel, or of all. At most `limit` of those
    /// that come behind the row and id of `after`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn failed_uploads(
        &self,
        user: UserId,
        job: JobId,
        channel: Option<&str>,
        after: Option<(i64, Uuid)>,
        limit: u32,
    ) -> Result<Vec<FailedUpload>, Error> {
        if after.is_none() {
            self.job(user, job).await?;
        }
        let (row_no, id) = after.unwrap_or((-1, Uuid::nil()));
        let mut sql = String::from(
            "SELECT id, row_no, body, outcome FROM tasks WHERE job_id = $1 AND user_id = $2 \
             AND (row_no, id) > ($3, $4) AND state = 'failed' AND kind = 'product.upload'",
        );
        let mut values: Vec<Value> = vec![job.0.into(), user.0.into(), row_no.into(), id.into()];
        if let Some(channel) = channel {
            values.push(channel.into());
            sql.push_str(&format!(" AND channel = ${}", values.len()));
        }
        values.push(i64::from(limit).into());
        sql.push_str(&format!(" ORDER BY row_no, id LIMIT ${}", values.len()));
        all(&self.reader, &sql, values)
            .await?
            .iter()
            .map(|found| {
                let outcome: Option<contract::api::Outcome> = row::maybe_json(found, "outcome")?;
                Ok(FailedUpload {
                    place: (found.try_get("", "row_no")?, found.try_get("", "id")?),
                    upload: row::json(found, "body")?,
                    reason: outcome.map(|outcome| outcome.message).unwrap_or_default(),
                })
            })
            .collect()
    }
}

/// Rows with at least one task that the query asks for. SKU and title are the
/// row's, so each of its tasks tells them.
fn rows_that_match(job: JobId, query: &GridQuery) -> Result<(String, Vec<Value>), TextError> {
    let mut sql = String::from("SELECT DISTINCT row_no FROM tasks WHERE job_id = $1");
    let mut values: Vec<Value> = vec![job.0.into()];
    if let Some(state) = state(query.filter) {
        values.push(state.as_str().into());
        sql.push_str(&format!(" AND state = ${}", values.len()));
    }
    if !query.words.is_empty() {
        values.push(containing(&query.words)?.into());
        let like = format!("LIKE LOWER(${}) ESCAPE '\\'", values.len());
        sql.push_str(&format!(" AND (LOWER(sku) {like} OR LOWER(title) {like})"));
    }
    Ok((sql, values))
}

const fn state(filter: Filter) -> Option<TaskState> {
    Some(match filter {
        Filter::All => return None,
        Filter::Failed => TaskState::Failed,
        Filter::Running => TaskState::Running,
        Filter::Waiting => TaskState::Queued,
        Filter::NeedsPerson => TaskState::NeedsPerson,
        Filter::Succeeded => TaskState::Succeeded,
        Filter::Cancelled => TaskState::Cancelled,
    })
}

/// Tasks in the order of their rows, as rows with cells in the order of the
/// columns.
fn rows(job: &Job, tasks: Vec<Task>) -> Vec<GridRow> {
    let mut rows: Vec<GridRow> = Vec::new();
    for task in tasks {
        match rows.last_mut() {
            Some(last) if last.row == task.row => last.cells.push(task),
            _ => rows.push(GridRow {
                row: task.row,
                sku: task.sku.clone(),
                title: task.title.clone(),
                cells: vec![task],
            }),
        }
    }
    for row in &mut rows {
        row.cells.sort_by_key(|task| {
            let place = job.channels.iter().position(|id| Some(id) == task.channel.as_ref());
            (place.unwrap_or(usize::MAX), task.cause.is_some())
        });
    }
    rows
}
