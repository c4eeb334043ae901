//! Lists of the user's jobs: running, recently finished, and all of them.

mod filters;
mod job_line;

use super::load_error::{page_error, section_error};
use crate::{
    live::LiveState,
    page_context::PageContext,
    resource::{ServerResource, resource_view},
    shell::PageShell,
    title::Title,
};
use contract::{api::Job, state::JobState};
use filters::JobFilters;
pub use filters::JobListFilter;
pub use job_line::JobLine;
use leptos::{prelude::*, server_fn::codec::Json};
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

/// Maximum number of recent jobs besides the running ones.
#[cfg(feature = "ssr")]
const RECENT_JOBS_LIMIT: u32 = 10;
/// Maximum number of running jobs, and number of jobs per page.
#[cfg(feature = "ssr")]
const JOBS_PAGE_LIMIT: u32 = 50;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobsPage {
    context: PageContext,
    jobs: Vec<Job>,
    /// Id that the next page's jobs are older than.
    next: Option<String>,
}

/// The running jobs and the latest others, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentJobsPage {
    context: PageContext,
    jobs: Vec<Job>,
}

/// Returns the jobs that match the filter. Parts of it that can't be parsed are ignored.
///
/// # Errors
/// Fails if nobody is signed in, the search text is too long, or the database fails.
#[server(input = Json)]
pub async fn load_jobs(filter: JobListFilter) -> Result<JobsPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let query = engine::store::JobQuery {
        before: filter.before.and_then(|id| id.parse().ok()),
        limit: JOBS_PAGE_LIMIT,
        state: filter.state.and_then(|word| word.parse().ok()),
        kind: filter.kind.and_then(|word| word.parse().ok()),
        search_text: filter.q.filter(|words| !words.is_empty()),
    };
    let page = engine.store().jobs.find_jobs(identity.user, query).await.map_err(server_error)?;
    Ok(JobsPage { context, jobs: page.items, next: page.next })
}

/// Returns the running jobs and the latest others.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_recent_jobs() -> Result<RecentJobsPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let running =
        store.jobs.running_jobs(identity.user, JOBS_PAGE_LIMIT).await.map_err(server_error)?;
    let latest =
        store.jobs.jobs(identity.user, None, RECENT_JOBS_LIMIT).await.map_err(server_error)?;
    let mut jobs = latest.items;
    jobs.retain(|job| running.iter().all(|running| running.id != job.id));
    jobs.extend(running);
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    Ok(RecentJobsPage { context, jobs })
}

#[component]
pub fn Jobs() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(JobListFilter::from_query));
    let page = Resource::new(
        move || (filter.get(), live.resync_count.get()),
        |(filter, _)| load_jobs(filter),
    );
    let show = move |page| content(page, filter.get_untracked());
    view! {
        <Title text="Jobs"/>
        {resource_view(page, "Loading …", show, page_error)}
    }
    .into_any()
}

fn content(page: JobsPage, filter: JobListFilter) -> AnyView {
    let JobsPage { context, jobs, next } = page;
    let seq = context.seq;
    let older = next.map(|next| {
        let href = JobListFilter { before: Some(next), ..filter.clone() }.href();
        view! { <p><a href=href>"Older jobs"</a></p> }
    });
    let newest = filter.before.is_some().then(|| {
        let href = JobListFilter { before: None, ..filter.clone() }.href();
        view! { <p><a href=href>"Newest jobs"</a></p> }
    });
    let empty_state = if filter.is_unfiltered() {
        no_jobs_yet()
    } else {
        view! {
            <p class="empty">
                "No jobs match. " <a href="/jobs">"Show all jobs"</a>
            </p>
        }
        .into_any()
    };
    let choices = view! { <JobFilters filter=filter.clone()/> }.into_any();
    let known = live_jobs(jobs, seq, filter.before.is_none());
    let shown = Memo::new(move |_| {
        known
            .with(|jobs| jobs.iter().filter(|job| filter.matches(job)).cloned().collect::<Vec<_>>())
    });
    view! {
        <PageShell context=context>
            <h1>"Jobs"</h1>
            {choices}
            {newest}
            <JobLines jobs=shown empty_state=empty_state/>
            {older}
        </PageShell>
    }
    .into_any()
}

/// Returns the current state of a page's jobs. If the page starts with the newest job,
/// jobs that are launched later are prepended.
fn live_jobs(jobs: Vec<Job>, seq: i64, newest: bool) -> Memo<Vec<Job>> {
    let live = expect_context::<LiveState>();
    let first = jobs.iter().map(|job| job.id).max();
    Memo::new(move |_| {
        let mut all = if newest { live.new_jobs(first) } else { Vec::new() };
        all.extend(jobs.iter().map(|job| live.current_job(job, seq)));
        all
    })
}

/// Text of a page without any job.
fn no_jobs_yet() -> AnyView {
    view! {
        <p class="empty">
            "No jobs yet. What you launch appears here, with the result of every item. "
            <a href="/">"Launch one."</a>
        </p>
    }
    .into_any()
}

/// List of jobs, one per line.
#[component]
fn JobLines(jobs: Memo<Vec<Job>>, empty_state: AnyView) -> impl IntoView {
    let ids =
        Memo::new(move |_| jobs.with(|jobs| jobs.iter().map(|job| job.id).collect::<Vec<_>>()));
    let any = Memo::new(move |_| ids.with(|ids| !ids.is_empty()));
    view! {
        <div hidden=move || any.get()>{empty_state}</div>
        <div class="list">
            <For
                each=move || ids.get()
                key=|id| *id
                children=move |id| view! { <JobLine id=id jobs=jobs/> }
            />
        </div>
    }
    .into_any()
}

/// Creates the resource of [`RecentJobs`]. It is loaded again at a resync.
pub fn recent_jobs_resource() -> ServerResource<RecentJobsPage> {
    let live = expect_context::<LiveState>();
    Resource::new(move || live.resync_count.get(), |_| load_recent_jobs())
}

/// Running jobs, updated live, then recently finished ones.
#[component]
pub fn RecentJobs(recent: ServerResource<RecentJobsPage>) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let show = move |RecentJobsPage { context, jobs }| {
        live.start_from_page(&context);
        running_and_finished_jobs(jobs, context.seq)
    };
    resource_view(recent, "Loading your jobs …", show, section_error)
}

fn running_and_finished_jobs(jobs: Vec<Job>, seq: i64) -> AnyView {
    let known = live_jobs(jobs, seq, true);
    let of = move |running: bool| {
        Memo::new(move |_| {
            let takes = |job: &&Job| (job.state == JobState::Running) == running;
            known.with(|jobs| jobs.iter().filter(takes).cloned().collect::<Vec<_>>())
        })
    };
    let (running, ended) = (of(true), of(false));
    let count = move || running.with(Vec::len);
    let at_rest = view! { <p class="empty">"Nothing is running."</p> }.into_any();
    view! {
        <section aria-labelledby="running" data-testid="running">
            <h2 id="running">
                "Running " <span class="muted">{move || (count() > 0).then(count)}</span>
            </h2>
            <JobLines jobs=running empty_state=at_rest/>
        </section>
        <section aria-labelledby="finished" data-testid="finished">
            <h2 id="finished">"Recently finished"</h2>
            <JobLines jobs=ended empty_state=no_jobs_yet()/>
            <p class="more-hint">
                <a href="/jobs">"All jobs"</a>
            </p>
        </section>
    }
    .into_any()
}
