//! Data of the page of a job.

#[cfg(feature = "ssr")]
use super::server::{self as page_server, RequestContext};
use super::{
    PageContext,
    query::{PageQuery, TypedQuery},
};
use crate::fragment::Fragment;
#[cfg(feature = "ssr")]
use crate::page::job::flow::graph;
use contract::{
    api::{Channel, Grid, GridFilter, Job, TaskDetail},
    fact::Fact,
};
#[cfg(feature = "ssr")]
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Number of rows that are part of the page; without scripts, number of rows per page.
pub const INITIAL_ROWS: u32 = 60;
/// Number of rows that one request loads while the grid is scrolled.
pub const WINDOW_ROWS: u32 = 150;
/// Number of facts on one page of the timeline.
pub const TIMELINE_PAGE_FACTS: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    pub context: PageContext,
    pub job: Job,
    /// Number of calls in progress.
    pub running_calls: u32,
    /// Name of the channel that takes longest, if the time left is known.
    pub limited_by: Option<String>,
    /// Channels of the job, in the order of its columns.
    pub channels: Vec<Channel>,
    pub grid: Grid,
}

/// Window of the grid at a position in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridPage {
    pub seq: i64,
    pub grid: Grid,
}

/// Facts of a job, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelinePage {
    pub seq: i64,
    pub facts: Vec<Fact>,
    /// Whether there are older facts.
    pub has_more: bool,
}

/// Query of a job and its matching rows from `offset`. It returns `None` if the job does
/// not exist or belongs to someone else.
pub const fn job_query(
    id: String,
    filter: GridFilter,
    q: String,
    offset: u32,
) -> TypedQuery<Option<JobPage>> {
    TypedQuery::new(PageQuery::Job { id, filter, q, offset })
}

/// Query of the matching rows of a job, at most 200, from `offset`.
pub const fn grid_query(
    id: String,
    filter: GridFilter,
    q: String,
    offset: u32,
    limit: u32,
) -> TypedQuery<GridPage> {
    TypedQuery::new(PageQuery::Grid { id, filter, q, offset, limit })
}

/// Query of the chain of a job.
pub const fn flow_query(id: String) -> TypedQuery<Option<Fragment>> {
    TypedQuery::new(PageQuery::Flow { id })
}

/// Query of the journal of a job before the `seq` `before`, or of its end.
pub const fn timeline_query(id: String, before: Option<i64>) -> TypedQuery<Option<TimelinePage>> {
    TypedQuery::new(PageQuery::Timeline { id, before })
}

/// Query of a task. It returns `None` if the task does not exist or belongs to someone else.
pub const fn task_query(id: String) -> TypedQuery<Option<TaskDetail>> {
    TypedQuery::new(PageQuery::Task { id })
}

#[cfg(feature = "ssr")]
pub(super) async fn job(
    request: RequestContext,
    id: &str,
    filter: GridFilter,
    q: String,
    offset: u32,
) -> Result<Option<JobPage>, ServerFnError> {
    let context = page_server::page_context(&request).await?;
    let RequestContext { engine, identity } = request;
    let Ok(id) = id.parse() else { return Ok(None) };
    let store = engine.store();
    let job = match store.job(identity.user, id).await {
        Ok(job) => job,
        Err(engine::store::Error::NotFound) => return Ok(None),
        Err(error) => return Err(page_server::server_error(error)),
    };
    let forecast = engine.forecast().await.map_err(page_server::server_error)?;
    let query = engine::store::GridQuery { filter, search_text: q, offset, limit: INITIAL_ROWS };
    let grid =
        store.job_grid(identity.user, id, &query).await.map_err(page_server::server_error)?;
    let channels = server::job_channels(&forecast, &job);
    let left = engine.job_forecasts(std::slice::from_ref(&job), identity.user).await;
    let left = left.map_err(page_server::server_error)?.remove(&id).unwrap_or_default();
    let job = Job { eta_ms: left.eta_ms, ..job };
    let (running, limited_by) = (left.running, left.limited_by);
    Ok(Some(JobPage { context, job, running_calls: running, limited_by, channels, grid }))
}

#[cfg(feature = "ssr")]
pub(super) async fn grid(
    request: RequestContext,
    id: &str,
    filter: GridFilter,
    q: String,
    offset: u32,
    limit: u32,
) -> Result<GridPage, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let seq =
        engine.store().journal_head(identity.user).await.map_err(page_server::server_error)?;
    let id = server::parse_job_id(id)?;
    let query = engine::store::GridQuery { filter, search_text: q, offset, limit: limit.min(200) };
    match engine.store().job_grid(identity.user, id, &query).await {
        Ok(grid) => Ok(GridPage { seq, grid }),
        Err(error) => Err(server::job_read_error(error)),
    }
}

#[cfg(feature = "ssr")]
pub(super) async fn flow(request: RequestContext, id: &str) -> Result<Fragment, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let id = server::parse_job_id(id)?;
    let flow = engine.store().job_flow(identity.user, id).await.map_err(server::job_read_error)?;
    let forecast = engine.forecast().await.map_err(page_server::server_error)?;
    Ok(graph::fragment(id, &flow, &forecast.channels))
}

#[cfg(feature = "ssr")]
pub(super) async fn timeline(
    request: RequestContext,
    id: &str,
    before: Option<i64>,
) -> Result<TimelinePage, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let seq = store.journal_head(identity.user).await.map_err(page_server::server_error)?;
    let id = server::parse_job_id(id)?;
    let one_more = i64::try_from(TIMELINE_PAGE_FACTS).unwrap_or(i64::MAX - 1) + 1;
    let before = before.unwrap_or(i64::MAX);
    let journal = store.job_journal_before(identity.user, id, before, one_more).await;
    let mut facts = journal.map_err(page_server::server_error)?;
    let more = facts.len() > TIMELINE_PAGE_FACTS;
    facts.truncate(TIMELINE_PAGE_FACTS);
    Ok(TimelinePage { seq, facts, has_more: more })
}

#[cfg(feature = "ssr")]
pub(super) async fn task(
    request: RequestContext,
    id: &str,
) -> Result<Option<TaskDetail>, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let Ok(id) = id.parse() else { return Ok(None) };
    match engine.store().task(identity.user, id).await {
        Ok(detail) => Ok(Some(detail)),
        Err(engine::store::Error::NotFound) => Ok(None),
        Err(error) => Err(page_server::server_error(error)),
    }
}

#[cfg(feature = "ssr")]
mod server {
    use contract::{
        JobId,
        api::{Channel, Job},
    };
    use engine::{engine::Forecast, store::Error};
    use leptos::prelude::ServerFnError;

    pub fn parse_job_id(id: &str) -> Result<JobId, ServerFnError> {
        id.parse().map_err(|_| job_read_error(Error::NotFound))
    }

    pub fn job_read_error(error: Error) -> ServerFnError {
        match error {
            Error::NotFound => {
                crate::page_data::server::set_status(axum::http::StatusCode::NOT_FOUND);
                ServerFnError::ServerError("There is no such job.".into())
            }
            error => crate::page_data::server::server_error(error),
        }
    }

    pub fn job_channels(forecast: &Forecast, job: &Job) -> Vec<Channel> {
        let known = &forecast.channels;
        let own = job.channels.iter().filter_map(|id| known.iter().find(|c| c.id == *id));
        own.cloned().collect()
    }
}
