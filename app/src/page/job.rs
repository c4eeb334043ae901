//! One job: what happened to every item, as it happens.

mod asked;
mod bar;
mod details;
pub mod flow;
mod header;
mod items;
mod timeline;

use crate::{
    data::job::{JobPage, ask_flow, ask_job, ask_task, ask_timeline},
    frame::{Frame, ProblemLine},
    live::Live,
    load::Loaded,
    page::{missing::Missing, problem::failed},
    title::Title,
};
use asked::{Asked, View};
use contract::{TaskId, api::Filter};
use header::Now;
use leptos::{ev, leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use std::time::Duration;

/// All that the page reads is asked for here, so that server and browser
/// number it alike.
#[component]
pub fn Job() -> impl IntoView {
    let live = expect_context::<Live>();
    let asked = Asked::of_address();
    let page = Loaded::new(move || {
        let (filter, words) = (asked.filter.get_untracked(), asked.words.get_untracked());
        ask_job(asked.job.get(), filter, words, asked.from.get_untracked())
    });
    let looks = move |view| asked.view.get() == view;
    let timeline = Loaded::perhaps(move || {
        looks(View::Timeline).then(|| {
            let ask = ask_timeline(asked.job.get(), asked.before.get());
            (ask, [live.resync.get().into(), 0, 0])
        })
    });
    // Counts up at most once a second while facts of the job come.
    let beat = RwSignal::new(0_u32);
    let pulse = move || {
        if looks(View::Flow)
            && let Ok(job) = asked.job.read().parse()
        {
            live.pulse(job);
        }
    };
    once_a_second(pulse, move || beat.update(|beat| *beat += 1));
    let flow = Loaded::perhaps(move || {
        looks(View::Flow).then(|| {
            let version = [live.resync.get().into(), beat.get().into(), 0];
            (ask_flow(asked.job.get()), version)
        })
    });
    let detail = Loaded::perhaps(move || {
        asked.task.get().map(|task| {
            let known = task.parse().map(|task: TaskId| live.version(task));
            let (seq, attempt) = known.unwrap_or_default();
            let attempt = attempt.map_or(0, |attempt| u64::from(attempt) + 1);
            (ask_task(task), [live.resync.get().into(), seq.unsigned_abs(), attempt])
        })
    });
    let show = move |page: Option<JobPage>| {
        let Some(page) = page else { return Missing().into_any() };
        let job = page.job.id;
        let views = move || {
            let flow = view! { <flow::Flow flow=flow/> };
            let timeline = view! { <timeline::Timeline job=job timeline=timeline asked=asked/> };
            (flow.into_any(), timeline.into_any())
        };
        let aside = view! { <details::Details job=job detail=detail asked=asked/> };
        content(page, asked, views, aside.into_any())
    };
    close_by_key(asked);
    page.view("Reading …", show, failed)
}

/// Runs `then` a second after what `when` reads has changed, and at most once
/// a second while it goes on changing.
fn once_a_second(when: impl Fn() + 'static, then: impl Fn() + Clone + 'static) {
    let timer = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move |before: Option<()>| {
        when();
        if before.is_some() && timer.get_value().is_none() {
            let then = then.clone();
            let due = move || {
                timer.set_value(None);
                then();
            };
            timer.set_value(set_timeout_with_handle(due, Duration::from_secs(1)).ok());
        }
    });
    on_cleanup(move || {
        if let Some(Some(timer)) = timer.try_get_value() {
            timer.clear();
        }
    });
}

/// The id of the element that opens the details of a task.
fn cell_id(task: &str) -> String {
    format!("cell-{task}")
}

/// Escape closes the details; the focus goes back to where they were opened.
fn close_by_key(asked: Asked) {
    let navigate = use_navigate();
    Effect::new(move |_| {
        let navigate = navigate.clone();
        let keys = window_event_listener(ev::keydown, move |event| {
            if event.key() == "Escape" && asked.task.get_untracked().is_some() {
                let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
                navigate(&untrack(move || asked.closed()), options);
            }
        });
        on_cleanup(move || keys.remove());
    });
    Effect::new(move |before: Option<Option<String>>| {
        let now = asked.task.get();
        if let (Some(Some(before)), None) = (before, &now)
            && let Some(cell) = document().get_element_by_id(&cell_id(&before))
        {
            use wasm_bindgen::JsCast;
            if let Some(cell) = cell.dyn_ref::<web_sys::HtmlElement>() {
                let _ = cell.focus();
            }
        }
        now
    });
}

/// Reads the job anew where facts alone can't tell how it is, and leaves the
/// page's elements as they are: focus and scrolling stay.
fn read_again(page: RwSignal<JobPage>, live: Live) {
    let number = StoredValue::new(0_u32);
    Effect::watch(
        move || live.resync.get(),
        move |&count, _, _| {
            number.set_value(count);
            let id = page.with_untracked(|page| page.job.id.to_string());
            spawn_local(async move {
                let read = ask_job(id, Filter::All, String::new(), 0).read().await;
                if number.try_get_value() != Some(count) {
                    return;
                }
                match read {
                    Ok(Some(read)) => {
                        live.begin(&read.since);
                        page.set(read);
                    }
                    Ok(None) => {}
                    Err(error) => leptos::logging::warn!("the job was not read anew: {error}"),
                }
            });
        },
        false,
    );
}

fn content(
    page: JobPage,
    asked: Asked,
    views: impl FnOnce() -> (AnyView, AnyView),
    details: AnyView,
) -> AnyView {
    let live = expect_context::<Live>();
    let (since, title, grid) = (page.since.clone(), page.job.title.clone(), page.grid.clone());
    let page = RwSignal::new(page);
    let now = Now::of(page, live);
    read_again(page, live);
    let query = use_query_map();
    let accepted = move || query.read().get("accepted").is_some();
    let tabs = View::ALL
        .map(|view| {
            let current = move || (asked.view.get() == view).then_some("page");
            view! {
                <a href=move || asked.tab(view) data-noscroll="" aria-current=current>
                    {view.name()}
                </a>
            }
        })
        .into_iter()
        .collect_view();
    let items = view! {
        // Hidden rather than taken away: it stays as it was scrolled.
        <div hidden=move || asked.view.get() != View::Items>
            <items::Items now=now asked=asked first=grid/>
        </div>
    };
    let (flow, timeline) = views();
    view! {
        <Title text=title/>
        <Frame since=since>
            <ProblemLine/>
            <Show when=accepted>
                <p class="good">"Accepted. You can leave this page; we'll tell you."</p>
            </Show>
            {header::header(now, asked).into_any()}
            <nav class="tabs" aria-label="Of this job">{tabs}</nav>
            {items.into_any()}
            {flow}
            {timeline}
            {details}
        </Frame>
    }
    .into_any()
}
