//! What was searched for: jobs by title, items by SKU.

use crate::{
    data::search::{ITEMS, Item, JOBS, SearchPage, ask_search},
    frame::Frame,
    live::Live,
    load::Loaded,
    page::{jobs::JobLine, problem::failed},
    sign::sign,
    title::Title,
    words,
};
use contract::api::Job;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Search() -> impl IntoView {
    let live = expect_context::<Live>();
    let query = use_query_map();
    let asked = Memo::new(move |_| query.read().get("q").unwrap_or_default());
    let page =
        Loaded::versioned(move || (ask_search(asked.get()), [live.resync.get().into(), 0, 0]));
    view! {
        <Title text="Search"/>
        {page.view("Searching …", move |page| content(page, asked.get_untracked()), failed)}
    }
    .into_any()
}

fn content(page: SearchPage, asked: String) -> AnyView {
    let SearchPage { since, jobs, items } = page;
    let seq = since.seq;
    let nothing = jobs.is_empty() && items.is_empty();
    let empty = if asked.trim().is_empty() {
        Some("Type a SKU or a part of a job's title.".to_owned())
    } else {
        nothing.then(|| {
            format!("Nothing of yours is called “{asked}”: no job has it in its title, and no item's SKU begins with it.")
        })
    };
    let more_jobs = jobs.len() == JOBS as usize;
    let more_items = items.len() == ITEMS as usize;
    view! {
        <Frame since=since>
            <h1>"Search"</h1>
            <form class="buttons" role="search" aria-label="On this page" action="/search">
                <input
                    type="search"
                    name="q"
                    value=asked
                    aria-label="SKU or job"
                    autocomplete="off"
                    data-testid="search-field"
                />
                <button class="main">"Search"</button>
            </form>
            {empty.map(|words| view! { <p class="empty" role="status">{words}</p> })}
            {(!jobs.is_empty())
                .then(|| {
                    view! {
                        <h2>"Jobs"</h2>
                        <div class="lines">{lines(jobs, seq)}</div>
                        {more_jobs
                            .then(|| view! { <p><small>{format!("The newest {JOBS} of your last 5,000.")}</small></p> })}
                    }
                })}
            {(!items.is_empty())
                .then(|| {
                    view! {
                        <h2>"Items"</h2>
                        <div class="lines found">
                            {items.into_iter().map(|item| found(item, seq)).collect_view()}
                        </div>
                        {more_items
                            .then(|| view! { <p><small>{format!("The first {ITEMS} by SKU. Type more of it to see others.")}</small></p> })}
                    }
                })}
        </Frame>
    }
    .into_any()
}

fn lines(jobs: Vec<Job>, seq: i64) -> AnyView {
    let live = expect_context::<Live>();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let now = Memo::new(move |_| jobs.iter().map(|job| live.job(job, seq)).collect::<Vec<_>>());
    ids.into_iter().map(|id| view! { <JobLine id=id jobs=now/> }).collect_view().into_any()
}

fn found(item: Item, seq: i64) -> AnyView {
    let live = expect_context::<Live>();
    let Item { task, job } = item;
    let href = format!("/jobs/{}?task={}", task.job, task.id);
    let (what, title) = (words::about(&task), task.title.clone());
    let now = Memo::new(move |_| live.task(&task, seq));
    view! {
        <a class="line" href=href data-testid="found">
            <strong>{what}</strong>
            <span class="now" data-state=move || now.read().state.as_str()>
                <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
                    <path d=move || sign(now.read().state)></path>
                </svg>
                {move || words::task(&now.read())}
            </span>
            <span>{title}</span>
            <small>{job}</small>
        </a>
    }
    .into_any()
}
