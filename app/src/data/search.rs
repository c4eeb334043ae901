//! What the top bar's field finds.

use super::{
    Since,
    ask::{Ask, Question},
};
use contract::api::{Job, Task};
#[cfg(feature = "ssr")]
use leptos::prelude::ServerFnError;
use serde::{Deserialize, Serialize};

/// Jobs that a search shows.
pub const JOBS: u32 = 20;
/// Items that a search shows.
pub const ITEMS: u32 = 50;

/// An item, and the title of its job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub task: Task,
    pub job: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    pub since: Since,
    /// Newest first, at most [`JOBS`].
    pub jobs: Vec<Job>,
    /// By SKU, newest first, at most [`ITEMS`].
    pub items: Vec<Item>,
}

/// The viewer's jobs with `q` in their title, and items whose SKU begins with
/// it; nothing where `q` is empty.
pub const fn ask_search(q: String) -> Ask<SearchPage> {
    Ask::new(Question::Search { q })
}

#[cfg(feature = "ssr")]
pub(super) async fn search(
    asker: super::server::Asker,
    q: &str,
) -> Result<SearchPage, ServerFnError> {
    use super::server;
    let since = server::since(&asker).await?;
    let super::server::Asker { engine, who } = asker;
    let q = q.trim();
    if q.is_empty() {
        return Ok(SearchPage { since, jobs: Vec::new(), items: Vec::new() });
    }
    let store = engine.store();
    let jobs = store.search_jobs(who.user, q, JOBS).await.map_err(server::error)?;
    let found = store.search_items(who.user, q, ITEMS).await.map_err(server::error)?;
    let items = found.into_iter().map(|(task, job)| Item { task, job }).collect();
    Ok(SearchPage { since, jobs, items })
}
