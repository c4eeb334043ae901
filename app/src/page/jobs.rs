//! Lists of the user's jobs: running, recently finished, and all of them.

mod filters;
mod job_line;

use super::load_error::{page_error, section_error};
use crate::{
    live::LiveState,
    page_data::launch::{JobsPage, RecentJobsPage, jobs_query},
    resource::PageResource,
    shell::PageShell,
    title::Title,
};
use contract::{api::Job, state::JobState};
use filters::{JobFilters, JobListFilter};
pub use job_line::JobLine;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Jobs() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(JobListFilter::from_query));
    let page = PageResource::with_version(move || {
        let JobListFilter { before, state, kind, q } = filter.get();
        (jobs_query(before, state, kind, q), [live.resync_count.get().into(), 0, 0])
    });
    view! {
        <Title text="Jobs"/>
        {page.view("Loading …", move |page| content(page, filter.get_untracked()), page_error)}
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

/// Running jobs, updated live, then recently finished ones.
#[component]
pub fn RecentJobs(recent: PageResource<RecentJobsPage>) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let show = move |RecentJobsPage { context, jobs }| {
        live.start_from_page(&context);
        running_and_finished_jobs(jobs, context.seq)
    };
    recent.view("Loading your jobs …", show, section_error)
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
