//! What the page of a job reads.

#[cfg(feature = "ssr")]
use super::server::{self as asking, Asker};
use super::{
    Since,
    ask::{Ask, Question},
};
use crate::fragment::Fragment;
#[cfg(feature = "ssr")]
use crate::page::job::flow::graph;
use contract::{
    api::{Channel, Filter, Grid, Job, TaskDetail},
    fact::Fact,
};
#[cfg(feature = "ssr")]
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Rows that come with the page; without scripts, rows of one page.
pub const FIRST: u32 = 60;
/// Rows that are read at once as the grid is scrolled.
pub const WINDOW: u32 = 150;
/// Facts of one page of a timeline.
pub const FACTS: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    pub since: Since,
    pub job: Job,
    /// Calls under way.
    pub running: u32,
    /// Name of the channel that takes longest, where the time left is told.
    pub limited_by: Option<String>,
    /// The job's, in the order of its columns.
    pub channels: Vec<Channel>,
    pub grid: Grid,
}

/// A window of the grid as of a place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridPage {
    pub seq: i64,
    pub grid: Grid,
}

/// What happened to a job, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub seq: i64,
    pub facts: Vec<Fact>,
    /// There are older ones.
    pub more: bool,
}

/// The job with the rows that match from place `offset` on. `None`: there is
/// no such job, or it belongs to someone else.
pub const fn ask_job(id: String, filter: Filter, q: String, offset: u32) -> Ask<Option<JobPage>> {
    Ask::new(Question::Job { id, filter, q, offset })
}

/// Rows of a job that match, at most 200 from place `offset` on.
pub const fn ask_grid(
    id: String,
    filter: Filter,
    q: String,
    offset: u32,
    limit: u32,
) -> Ask<GridPage> {
    Ask::new(Question::Grid { id, filter, q, offset, limit })
}

/// The chain of a job.
pub const fn ask_flow(id: String) -> Ask<Option<Fragment>> {
    Ask::new(Question::Flow { id })
}

/// The journal of a job before the place `before`, or its end.
pub const fn ask_timeline(id: String, before: Option<i64>) -> Ask<Option<Timeline>> {
    Ask::new(Question::Timeline { id, before })
}

/// `None`: there is no such task, or it belongs to someone else.
pub const fn ask_task(id: String) -> Ask<Option<TaskDetail>> {
    Ask::new(Question::Task { id })
}

#[cfg(feature = "ssr")]
pub(super) async fn job(
    asker: Asker,
    id: &str,
    filter: Filter,
    q: String,
    offset: u32,
) -> Result<Option<JobPage>, ServerFnError> {
    let since = asking::since(&asker).await?;
    let Asker { engine, who } = asker;
    let Ok(id) = id.parse() else { return Ok(None) };
    let store = engine.store();
    let job = match store.job(who.user, id).await {
        Ok(job) => job,
        Err(engine::store::Error::NotFound) => return Ok(None),
        Err(error) => return Err(asking::error(error)),
    };
    let forecast = engine.forecast().await.map_err(asking::error)?;
    let query = engine::store::GridQuery { filter, words: q, offset, limit: FIRST };
    let grid = store.grid(who.user, id, &query).await.map_err(asking::error)?;
    let channels = server::channels(&forecast, &job);
    let left = engine.time_left(std::slice::from_ref(&job), who.user).await;
    let left = left.map_err(asking::error)?.remove(&id).unwrap_or_default();
    let job = Job { eta_ms: left.eta_ms, ..job };
    let (running, limited_by) = (left.running, left.limited_by);
    Ok(Some(JobPage { since, job, running, limited_by, channels, grid }))
}

#[cfg(feature = "ssr")]
pub(super) async fn grid(
    asker: Asker,
    id: &str,
    filter: Filter,
    q: String,
    offset: u32,
    limit: u32,
) -> Result<GridPage, ServerFnError> {
    let Asker { engine, who } = asker;
    let seq = engine.store().head(who.user).await.map_err(asking::error)?;
    let id = server::id(id)?;
    let query = engine::store::GridQuery { filter, words: q, offset, limit: limit.min(200) };
    match engine.store().grid(who.user, id, &query).await {
        Ok(grid) => Ok(GridPage { seq, grid }),
        Err(error) => Err(server::gone(error)),
    }
}

#[cfg(feature = "ssr")]
pub(super) async fn flow(asker: Asker, id: &str) -> Result<Fragment, ServerFnError> {
    let Asker { engine, who } = asker;
    let id = server::id(id)?;
    let flow = engine.store().flow(who.user, id).await.map_err(server::gone)?;
    let forecast = engine.forecast().await.map_err(asking::error)?;
    Ok(graph::fragment(id, &flow, &forecast.channels))
}

#[cfg(feature = "ssr")]
pub(super) async fn timeline(
    asker: Asker,
    id: &str,
    before: Option<i64>,
) -> Result<Timeline, ServerFnError> {
    let Asker { engine, who } = asker;
    let store = engine.store();
    let seq = store.head(who.user).await.map_err(asking::error)?;
    let id = server::id(id)?;
    let one_more = i64::try_from(FACTS).unwrap_or(i64::MAX - 1) + 1;
    let before = before.unwrap_or(i64::MAX);
    let journal = store.job_journal_before(who.user, id, before, one_more).await;
    let mut facts = journal.map_err(asking::error)?;
    let more = facts.len() > FACTS;
    facts.truncate(FACTS);
    Ok(Timeline { seq, facts, more })
}

#[cfg(feature = "ssr")]
pub(super) async fn task(asker: Asker, id: &str) -> Result<Option<TaskDetail>, ServerFnError> {
    let Asker { engine, who } = asker;
    let Ok(id) = id.parse() else { return Ok(None) };
    match engine.store().task(who.user, id).await {
        Ok(detail) => Ok(Some(detail)),
        Err(engine::store::Error::NotFound) => Ok(None),
        Err(error) => Err(asking::error(error)),
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

    pub fn id(id: &str) -> Result<JobId, ServerFnError> {
        id.parse().map_err(|_| gone(Error::NotFound))
    }

    pub fn gone(error: Error) -> ServerFnError {
        match error {
            Error::NotFound => {
                crate::data::server::set_status(axum::http::StatusCode::NOT_FOUND);
                ServerFnError::ServerError("There is no such job.".into())
            }
            error => crate::data::server::error(error),
        }
    }

    pub fn channels(forecast: &Forecast, job: &Job) -> Vec<Channel> {
        let known = &forecast.channels;
        let own = job.channels.iter().filter_map(|id| known.iter().find(|c| c.id == *id));
        own.cloned().collect()
    }
}
