//! The user's jobs: those that run, the latest, and all of them.

mod choices;
mod line;

use super::problem::{failed, problem};
use crate::{
    data::launch::{JobsPage, Recent, ask_jobs},
    frame::Frame,
    live::Live,
    load::Loaded,
    title::Title,
};
use choices::{Asked, Choices};
use contract::{api::Job, state::JobState};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
pub use line::JobLine;

#[component]
pub fn Jobs() -> impl IntoView {
    let live = expect_context::<Live>();
    let query = use_query_map();
    let asked = Memo::new(move |_| query.with(Asked::of));
    let page = Loaded::versioned(move || {
        let Asked { before, state, kind, q } = asked.get();
        (ask_jobs(before, state, kind, q), [live.resync.get().into(), 0, 0])
    });
    view! {
        <Title text="Jobs"/>
        {page.view("Reading …", move |page| content(page, asked.get_untracked()), failed)}
    }
    .into_any()
}

fn content(page: JobsPage, asked: Asked) -> AnyView {
    let JobsPage { since, jobs, next } = page;
    let seq = since.seq;
    let older = next.map(|next| {
        let href = Asked { before: Some(next), ..asked.clone() }.href();
        view! { <p><a href=href>"Older jobs"</a></p> }
    });
    let newest = asked.before.is_some().then(|| {
        let href = Asked { before: None, ..asked.clone() }.href();
        view! { <p><a href=href>"Newest jobs"</a></p> }
    });
    let nothing = if asked.is_all() {
        teach()
    } else {
        view! {
            <p class="empty">
                "No job matches. " <a href="/jobs">"Show all jobs"</a>
            </p>
        }
        .into_any()
    };
    let choices = view! { <Choices asked=asked.clone()/> }.into_any();
    let known = known(jobs, seq, asked.before.is_none());
    let shown = Memo::new(move |_| {
        known.with(|jobs| jobs.iter().filter(|job| asked.takes(job)).cloned().collect::<Vec<_>>())
    });
    view! {
        <Frame since=since>
            <h1>"Jobs"</h1>
            {choices}
            {newest}
            <Lines jobs=shown nothing=nothing/>
            {older}
        </Frame>
    }
    .into_any()
}

/// The jobs of a page as they are now; where it begins with the newest, those
/// that come are put before them.
fn known(jobs: Vec<Job>, seq: i64, newest: bool) -> Memo<Vec<Job>> {
    let live = expect_context::<Live>();
    let first = jobs.iter().map(|job| job.id).max();
    Memo::new(move |_| {
        let mut all = if newest { live.new_jobs(first) } else { Vec::new() };
        all.extend(jobs.iter().map(|job| live.job(job, seq)));
        all
    })
}

/// What a page without a single job says.
fn teach() -> AnyView {
    view! {
        <p class="empty">
            "No job yet. What you launch appears here, with what became of every item. "
            <a href="/">"Launch one."</a>
        </p>
    }
    .into_any()
}

/// Jobs as lines.
#[component]
fn Lines(jobs: Memo<Vec<Job>>, nothing: AnyView) -> impl IntoView {
    let ids =
        Memo::new(move |_| jobs.with(|jobs| jobs.iter().map(|job| job.id).collect::<Vec<_>>()));
    let any = Memo::new(move |_| ids.with(|ids| !ids.is_empty()));
    view! {
        <div hidden=move || any.get()>{nothing}</div>
        <div class="lines">
            <For
                each=move || ids.get()
                key=|id| *id
                children=move |id| view! { <JobLine id=id jobs=jobs/> }
            />
        </div>
    }
    .into_any()
}

/// What runs now, live, and then what ended last.
#[component]
pub fn RecentJobs(recent: Loaded<Recent>) -> impl IntoView {
    let live = expect_context::<Live>();
    let show = move |Recent { since, jobs }| {
        live.begin(&since);
        split(jobs, since.seq)
    };
    recent.view("Reading your jobs …", show, problem)
}

fn split(jobs: Vec<Job>, seq: i64) -> AnyView {
    let known = known(jobs, seq, true);
    let of = move |running: bool| {
        Memo::new(move |_| {
            let takes = |job: &&Job| (job.state == JobState::Running) == running;
            known.with(|jobs| jobs.iter().filter(takes).cloned().collect::<Vec<_>>())
        })
    };
    let (running, ended) = (of(true), of(false));
    let count = move || running.with(Vec::len);
    let at_rest = view! { <p class="empty">"Nothing runs now."</p> }.into_any();
    view! {
        <section aria-labelledby="running" data-testid="running">
            <h2 id="running">
                "Running now " <span class="soft">{move || (count() > 0).then(count)}</span>
            </h2>
            <Lines jobs=running nothing=at_rest/>
        </section>
        <section aria-labelledby="ended" data-testid="ended">
            <h2 id="ended">"Ended last"</h2>
            <Lines jobs=ended nothing=teach()/>
            <p class="more">
                <a href="/jobs">"All jobs"</a>
            </p>
        </section>
    }
    .into_any()
}
