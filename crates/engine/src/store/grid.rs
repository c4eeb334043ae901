//! The grid of a job: a row for each product or machine; the database filters,
//! searches and returns one window.

use super::{
    Error, Jobs, query_all, query_one,
    read::like_pattern,
    row::{self, rows},
};
use contract::{
    JobId, UserId,
    api::{Grid, GridFilter, GridRow, Job, Task},
    command::ProductUpload,
    state::{Effect, TaskState},
    text::TextError,
};
use sea_orm::Value;
use uuid::Uuid;

/// Selects the rows of a grid.
#[derive(Clone, Debug)]
pub struct GridQuery {
    /// State of the tasks.
    pub filter: GridFilter,
    /// Text that SKU or title contain, regardless of case; empty: any.
    pub search_text: String,
    /// Index of the first row among those that match.
    pub offset: u32,
    /// Maximum number of rows.
    pub limit: u32,
}

/// An upload that failed or was rejected.
#[derive(Clone, Debug)]
pub struct FailedUpload {
    /// Row and id of its task, which is the order of the grid.
    pub cursor: (i64, Uuid),
    /// The upload as it was requested.
    pub upload: ProductUpload,
    /// The message of its outcome.
    pub reason: String,
}

impl Jobs {
    /// Returns a window of the rows that match, each with all its cells.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn job_grid(
        &self,
        user: UserId,
        job: JobId,
        query: &GridQuery,
    ) -> Result<Grid, Error> {
        let job = self.job(user, job).await?;
        let (found, values) = matching_rows_sql(job.id, query)?;
        let sql = format!("SELECT COUNT(*) AS matching FROM ({found}) AS found");
        let matching =
            query_one(&self.db.reader, &sql, values.clone()).await?.ok_or(Error::NotFound)?;
        let matching = matching.get("matching")?;
        let (limit, offset) = (values.len() + 1, values.len() + 2);
        let sql = format!(
            "SELECT {} FROM tasks WHERE job_id = $1 AND row_no IN (SELECT row_no FROM ({found}) \
             AS found ORDER BY row_no LIMIT ${limit} OFFSET ${offset}) ORDER BY row_no, id",
            row::TASK_COLUMNS
        );
        let window = [i64::from(query.limit).into(), i64::from(query.offset).into()];
        let tasks: Vec<Task> =
            rows(&self.db.reader, &sql, values.into_iter().chain(window)).await?;
        Ok(Grid { matching, offset: query.offset, rows: grid_rows(&job, tasks) })
    }

    /// Returns failed and rejected uploads of a job in the order of the grid, each with its
    /// reason, of one channel or of all: at most `limit` of those after the row and
    /// id of `after`.
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
             AND (row_no, id) > ($3, $4) AND state IN ('failed', 'rejected') AND kind = 'product.upload'",
        );
        let mut values: Vec<Value> = vec![job.0.into(), user.0.into(), row_no.into(), id.into()];
        if let Some(channel) = channel {
            values.push(channel.into());
            sql.push_str(&format!(" AND channel = ${}", values.len()));
        }
        values.push(i64::from(limit).into());
        sql.push_str(&format!(" ORDER BY row_no, id LIMIT ${}", values.len()));
        query_all(&self.db.reader, &sql, values)
            .await?
            .iter()
            .map(|found| {
                let outcome: Option<contract::api::Outcome> = found.optional_json("outcome")?;
                Ok(FailedUpload {
                    cursor: (found.get("row_no")?, found.get("id")?),
                    upload: found.json("body")?,
                    reason: outcome.map(|outcome| outcome.message).unwrap_or_default(),
                })
            })
            .collect()
    }
}

/// Selects rows with at least one matching task. All tasks of a row have its SKU
/// and title.
fn matching_rows_sql(job: JobId, query: &GridQuery) -> Result<(String, Vec<Value>), TextError> {
    let mut sql = String::from("SELECT DISTINCT row_no FROM tasks WHERE job_id = $1");
    let mut values: Vec<Value> = vec![job.0.into()];
    if let Some(state) = state_of_filter(query.filter) {
        values.push(state.as_str().into());
        sql.push_str(&format!(" AND state = ${}", values.len()));
    }
    if query.filter == GridFilter::Unchanged {
        values.push(Effect::Unchanged.as_str().into());
        sql.push_str(&format!(" AND effect = ${}", values.len()));
    }
    if !query.search_text.is_empty() {
        values.push(like_pattern(&query.search_text)?.into());
        let like = format!("LIKE LOWER(${}) ESCAPE '\\'", values.len());
        sql.push_str(&format!(" AND (LOWER(sku) {like} OR LOWER(title) {like})"));
    }
    Ok((sql, values))
}

const fn state_of_filter(filter: GridFilter) -> Option<TaskState> {
    Some(match filter {
        GridFilter::All => return None,
        GridFilter::Rejected => TaskState::Rejected,
        GridFilter::Failed => TaskState::Failed,
        GridFilter::Running => TaskState::Running,
        GridFilter::Waiting => TaskState::Queued,
        GridFilter::NeedsReview => TaskState::NeedsReview,
        GridFilter::Succeeded | GridFilter::Unchanged => TaskState::Succeeded,
        GridFilter::Cancelled => TaskState::Cancelled,
    })
}

/// Groups tasks, which are in the order of their rows, into rows with cells in the
/// order of the columns.
fn grid_rows(job: &Job, tasks: Vec<Task>) -> Vec<GridRow> {
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
            let position = job.channels.iter().position(|id| Some(id) == task.channel.as_ref());
            (position.unwrap_or(usize::MAX), task.cause.is_some())
        });
    }
    rows
}
