//! Rows of the grid, as the server returns them.

use contract::api::{Grid, GridFilter};
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

/// Number of rows that one request loads while the grid is scrolled.
pub const WINDOW_ROWS: u32 = 150;

/// Window of the grid at a position in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridPage {
    pub seq: i64,
    pub grid: Grid,
}

/// Returns the matching rows of a job, at most 200, from `offset`.
///
/// # Errors
/// Fails if nobody is signed in, with status 404 if the job does not exist or belongs to
/// someone else, if the search text is too long, or if the database fails.
#[server(input = Json)]
pub async fn load_rows(
    id: String,
    filter: GridFilter,
    search_text: String,
    offset: u32,
    limit: u32,
) -> Result<GridPage, ServerFnError> {
    use crate::{
        page::job::lookup::{job_read_error, parse_job_id},
        server::{RequestContext, request_context, server_error},
    };
    let RequestContext { engine, identity } = request_context()?;
    let store = engine.store();
    let seq = store.journal.journal_head(identity.user).await.map_err(server_error)?;
    let id = parse_job_id(&id)?;
    let query = engine::store::GridQuery { filter, search_text, offset, limit: limit.min(200) };
    let mut grid = store.jobs.job_grid(identity.user, id, &query).await.map_err(job_read_error)?;
    engine.explain_pauses(grid.tasks_mut()).await.map_err(server_error)?;
    Ok(GridPage { seq, grid })
}
