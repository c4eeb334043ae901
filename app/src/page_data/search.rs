//! Results of the search in the top bar.

use super::{
    PageContext,
    query::{PageQuery, TypedQuery},
};
use contract::api::{Job, Task};
#[cfg(feature = "ssr")]
use leptos::prelude::ServerFnError;
use serde::{Deserialize, Serialize};

/// Maximum number of jobs in a result.
pub const MAX_JOBS: u32 = 20;
/// Maximum number of items in a result.
pub const MAX_ITEMS: u32 = 50;

/// Item together with the title of its job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundItem {
    pub task: Task,
    pub job_title: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    pub context: PageContext,
    /// Newest first, at most [`MAX_JOBS`].
    pub jobs: Vec<Job>,
    /// By SKU, newest first, at most [`MAX_ITEMS`].
    pub items: Vec<FoundItem>,
}

/// Finds the user's jobs with `q` in their title, and items whose SKU begins with
/// it. An empty `q` finds nothing.
pub const fn search_query(q: String) -> TypedQuery<SearchPage> {
    TypedQuery::new(PageQuery::Search { q })
}

#[cfg(feature = "ssr")]
pub(super) async fn search(
    request: super::server::RequestContext,
    q: &str,
) -> Result<SearchPage, ServerFnError> {
    use super::server;
    let context = server::page_context(&request).await?;
    let super::server::RequestContext { engine, identity } = request;
    let q = q.trim();
    if q.is_empty() {
        return Ok(SearchPage { context, jobs: Vec::new(), items: Vec::new() });
    }
    let store = engine.store();
    let jobs = store.search_jobs(identity.user, q, MAX_JOBS).await.map_err(server::server_error)?;
    let found =
        store.search_items(identity.user, q, MAX_ITEMS).await.map_err(server::server_error)?;
    let items = found.into_iter().map(|(task, job)| FoundItem { task, job_title: job }).collect();
    Ok(SearchPage { context, jobs, items })
}
