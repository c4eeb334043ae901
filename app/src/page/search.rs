//! Search page: jobs by title, items by SKU.

use crate::{
    icons::state_icon,
    labels,
    live::LiveState,
    page::{jobs::JobLine, load_error::page_error},
    page_context::PageContext,
    resource::resource_view,
    shell::PageShell,
    title::Title,
};
use contract::api::{Job, Task};
use leptos::{prelude::*, server_fn::codec::Json};
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

/// Maximum number of jobs in a result.
const MAX_JOBS: u32 = 20;
/// Maximum number of items in a result.
const MAX_ITEMS: u32 = 50;

/// Item together with the title of its job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FoundItem {
    task: Task,
    job_title: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    context: PageContext,
    /// Newest first, at most [`MAX_JOBS`].
    jobs: Vec<Job>,
    /// Newest job first, within a job by SKU, at most [`MAX_ITEMS`].
    items: Vec<FoundItem>,
}

/// Finds the user's jobs with `search_text` in their title, and items whose SKU begins with
/// it. An empty text finds nothing.
///
/// # Errors
/// Fails if nobody is signed in, the text is too long, or the database fails.
#[server(input = Json)]
pub async fn load_search_results(search_text: String) -> Result<SearchPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let text = search_text.trim();
    if text.is_empty() {
        return Ok(SearchPage { context, jobs: Vec::new(), items: Vec::new() });
    }
    let store = engine.store();
    let jobs = store.jobs.search_jobs(identity.user, text, MAX_JOBS).await.map_err(server_error)?;
    let found =
        store.jobs.search_items(identity.user, text, MAX_ITEMS).await.map_err(server_error)?;
    let items = found.into_iter().map(|(task, job_title)| FoundItem { task, job_title }).collect();
    Ok(SearchPage { context, jobs, items })
}

#[component]
pub fn Search() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let query = use_query_map();
    let search_text = Memo::new(move |_| query.read().get("q").unwrap_or_default());
    let page = Resource::new(
        move || (search_text.get(), live.resync_count.get()),
        |(search_text, _)| load_search_results(search_text),
    );
    let show = move |page| content(page, search_text.get_untracked());
    view! {
        <Title text="Search"/>
        {resource_view(page, "Searching …", show, page_error)}
    }
    .into_any()
}

fn content(page: SearchPage, search_text: String) -> AnyView {
    let SearchPage { context, jobs, items } = page;
    let seq = context.seq;
    let nothing = jobs.is_empty() && items.is_empty();
    let empty = if search_text.trim().is_empty() {
        Some("Type a SKU or a part of a job's title.".to_owned())
    } else {
        nothing.then(|| {
            format!("Nothing matches “{search_text}”: no job of yours has it in its title, and no item's SKU begins with it.")
        })
    };
    let more_jobs = jobs.len() == MAX_JOBS as usize;
    let more_items = items.len() == MAX_ITEMS as usize;
    view! {
        <PageShell context=context>
            <h1>"Search"</h1>
            <form class="buttons" role="search" aria-label="On this page" action="/search">
                <input
                    type="search"
                    name="q"
                    value=search_text
                    aria-label="SKU or job"
                    autocomplete="off"
                    data-testid="search-field"
                />
                <button class="primary">"Search"</button>
            </form>
            {empty.map(|words| view! { <p class="empty" role="status">{words}</p> })}
            {(!jobs.is_empty())
                .then(|| {
                    view! {
                        <h2>"Jobs"</h2>
                        <div class="list">{job_lines(jobs, seq)}</div>
                        {more_jobs
                            .then(|| view! { <p><small>{format!("The newest {MAX_JOBS} of your last 5,000.")}</small></p> })}
                    }
                })}
            {(!items.is_empty())
                .then(|| {
                    view! {
                        <h2>"Items"</h2>
                        <div class="list search-results">
                            {items.into_iter().map(|item| item_line(item, seq)).collect_view()}
                        </div>
                        {more_items
                            .then(|| view! { <p><small>{format!("The first {MAX_ITEMS}, newest job first. Type more of the SKU to see others.")}</small></p> })}
                    }
                })}
        </PageShell>
    }
    .into_any()
}

fn job_lines(jobs: Vec<Job>, seq: i64) -> AnyView {
    let live = expect_context::<LiveState>();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let now =
        Memo::new(move |_| jobs.iter().map(|job| live.current_job(job, seq)).collect::<Vec<_>>());
    ids.into_iter().map(|id| view! { <JobLine id=id jobs=now/> }).collect_view().into_any()
}

fn item_line(item: FoundItem, seq: i64) -> AnyView {
    let live = expect_context::<LiveState>();
    let FoundItem { task, job_title: job } = item;
    let href = format!("/jobs/{}?task={}", task.job, task.id);
    let (what, title) = (labels::task_subject(&task), task.title.clone());
    let now = Memo::new(move |_| live.current_task(&task, seq));
    view! {
        <a class="list-item" href=href data-testid="search-result">
            <strong>{what}</strong>
            <span class="task-state" data-state=move || labels::task_state_attribute(&now.read())>
                <svg class="state-icon" viewBox="0 0 16 16" aria-hidden="true">
                    <path d=move || state_icon(now.read().state)></path>
                </svg>
                {move || labels::task_status(&now.read())}
            </span>
            <span>{title}</span>
            <small>{job}</small>
        </a>
    }
    .into_any()
}
