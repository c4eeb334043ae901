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
        <Suspense fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => content(page).into_any(),
                    Err(error) => super::job::failed(&error).into_any(),
                }
            })}
        </Suspense>
    }
}

fn content(page: JobsPage) -> impl IntoView {
    let JobsPage { since, jobs, next } = page;
    let seq = since.seq;
    let empty = jobs.is_empty();
    let lines = jobs.into_iter().map(|job| view! { <JobLine job=job seq=seq/> }).collect_view();
    view! {
        <Frame since=since sandbox=false>
            <h1>"Jobs"</h1>
            {empty.then(|| view! { <p>"No job yet. " <a href="/">"Launch one."</a></p> })}
            <div class="lines">{lines}</div>
            {next.map(|next| view! { <p><a href=format!("/jobs?before={next}")>"Older jobs"</a></p> })}
        </Frame>
    }
}

/// One job in a line, live.
#[component]
pub fn JobLine(job: Job, seq: i64) -> impl IntoView {
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
