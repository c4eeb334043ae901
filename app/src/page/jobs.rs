//! The user's jobs, newest first.

use crate::{
    data::{JobsPage, read_jobs},
    frame::Frame,
    live::Live,
    words,
};
use contract::api::Job;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Jobs() -> impl IntoView {
    let live = expect_context::<Live>();
    let query = use_query_map();
    let page = Resource::new(
        move || (query.read().get("before"), live.resync.get()),
        |(before, _)| read_jobs(before),
    );
    view! {
        <Title text="Jobs"/>
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => content(page, query.read_untracked().get("before").is_none()),
                    Err(error) => super::job::failed(&error).into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

/// `newest`: the page begins with the newest job.
fn content(page: JobsPage, newest: bool) -> AnyView {
    let JobsPage { since, jobs, next } = page;
    let seq = since.seq;
    view! {
        <Frame since=since>
            <h1>"Jobs"</h1>
            <JobLines jobs=jobs seq=seq newest=newest/>
            {next.map(|next| view! { <p><a href=format!("/jobs?before={next}")>"Older jobs"</a></p> })}
        </Frame>
    }
    .into_any()
}

/// Jobs as lines; where they begin with the newest, those that come are put
/// before them.
#[component]
pub fn JobLines(jobs: Vec<Job>, seq: i64, newest: bool) -> impl IntoView {
    let live = expect_context::<Live>();
    let first = jobs.first().map(|job| job.id);
    let empty = jobs.is_empty();
    let new = Memo::new(move |_| if newest { live.new_jobs(first) } else { Vec::new() });
    let lines = jobs.into_iter().map(|job| view! { <JobLine job=job seq=seq/> }).collect_view();
    view! {
        <Show when=move || empty && new.read().is_empty()>
            <p>"No job yet. What you launch appears here. " <a href="/">"Launch one."</a></p>
        </Show>
        <div class="lines">
            <For each=move || new.get() key=|job| job.id children=|job| view! { <JobLine job=job seq=0/> }/>
            {lines}
        </div>
    }
}

/// One job in a line, live.
#[component]
fn JobLine(job: Job, seq: i64) -> impl IntoView {
    let live = expect_context::<Live>();
    let href = format!("/jobs/{}", job.id);
    let title = job.title.clone();
    let at = words::time(job.created_at);
    let now = Memo::new(move |_| live.job(&job, seq));
    view! {
        <a class="line" href=href data-state=move || now.read().state.as_str()>
            <strong>{title}</strong>
            <span class="state">{move || words::job(&now.read())}</span>
            <span>{move || words::counts(&now.read())}</span>
            <small>{at}</small>
        </a>
    }
}
