//! One job: what happened to every item, as it happens.

mod details;
mod items;
mod timeline;

use crate::{
    data::{JobPage, SHOWN, read_job, read_task, read_timeline},
    frame::{Frame, ProblemLine},
    live::Live,
    words,
};
use contract::{JobId, TaskId, api, state::JobState};
use leptos::{ev, prelude::*};
use leptos_meta::Title;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};

/// What of the page the address asks for.
#[derive(Clone, Copy)]
struct Asked {
    /// The task whose details are open.
    task: Memo<Option<String>>,
    timeline: Memo<bool>,
}

/// All that the page reads is asked for here, so that server and browser
/// number it alike.
#[component]
pub fn Job() -> impl IntoView {
    let live = expect_context::<Live>();
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let asked = Asked {
        task: Memo::new(move |_| query.read().get("task")),
        timeline: Memo::new(move |_| query.read().get("view").as_deref() == Some("timeline")),
    };
    let after = move || query.read().get("after").and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let page = Resource::new(move || (id.get(), live.resync.get()), |(id, _)| read_job(id));
    let timeline = Resource::new(
        move || asked.timeline.get().then(|| (id.get(), after(), live.resync.get())),
        async |asked| match asked {
            Some((id, after, _)) => read_timeline(id, after).await.map(Some),
            None => Ok(None),
        },
    );
    let detail = Resource::new(
        move || {
            asked.task.get().map(|task| {
                let version = task.parse().map(|task: TaskId| live.version(task));
                (task, version.unwrap_or_default(), live.resync.get())
            })
        },
        async |asked| match asked {
            Some((task, ..)) => read_task(task).await,
            None => Ok(None),
        },
    );
    close_by_key(id, asked.task);
    view! {
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(Some(page)) => {
                        let job = page.job.id;
                        let more = move || {
                            view! { <timeline::Timeline job=job timeline=timeline/> }.into_any()
                        };
                        let aside = view! {
                            <details::Details job=job detail=detail asked=asked.task.into()/>
                        };
                        content(page, asked, more, aside.into_any())
                    }
                    Ok(None) => view! { <super::missing::Missing/> }.into_any(),
                    Err(error) => failed(&error).into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

/// The id of the element that opens the details of a task.
fn cell_id(task: &str) -> String {
    format!("cell-{task}")
}

/// Escape closes the details; the focus goes back to where they were opened.
fn close_by_key(id: Memo<String>, task: Memo<Option<String>>) {
    let navigate = use_navigate();
    Effect::new(move |_| {
        let navigate = navigate.clone();
        let keys = window_event_listener(ev::keydown, move |event| {
            if event.key() == "Escape" && task.get_untracked().is_some() {
                let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
                navigate(&format!("/jobs/{}", id.get_untracked()), options);
            }
        });
        on_cleanup(move || keys.remove());
    });
    Effect::new(move |before: Option<Option<String>>| {
        let now = task.get();
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

/// What a person reads where the server could not answer.
pub fn sentence(error: &ServerFnError) -> String {
    match error {
        ServerFnError::ServerError(words) => words.clone(),
        _ => "The server did not answer. Try again soon.".into(),
    }
}

/// The page could not be read.
pub fn failed(error: &ServerFnError) -> impl IntoView + use<> {
    let words = sentence(error);
    view! {
        <main class="door">
            <h1>"This page could not be read"</h1>
            <p role="alert">{words}</p>
            <p><a href="" rel="external">"Try again"</a></p>
        </main>
    }
}

fn content(
    page: JobPage,
    asked: Asked,
    timeline: impl Fn() -> AnyView + Send + Sync + 'static,
    details: AnyView,
) -> AnyView {
    let live = expect_context::<Live>();
    let JobPage { since, job, tasks } = page;
    let (id, seq) = (job.id, since.seq);
    let query = use_query_map();
    let accepted = move || query.read().get("accepted").is_some();
    let title = job.title.clone();
    let at = words::time(job.created_at);
    let more = job.counts.total > SHOWN;
    let channels = job.channels.clone();
    let now = Memo::new(move |_| live.job(&job, seq));
    let current = move |tab: bool| (asked.timeline.get() == tab).then_some("page");
    let buttons = view! { <Buttons id=id job=now channels=channels.clone()/> }.into_any();
    // Hidden rather than taken away: filter and search stay as they are.
    let items = view! {
        <div hidden=move || asked.timeline.get()>
            {more.then(|| view! { <p>{format!("The first {SHOWN} items are shown.")}</p> })}
            <items::Items job=id channels=channels tasks=tasks seq=seq/>
        </div>
    }
    .into_any();
    view! {
        <Title text=title.clone()/>
        <Frame since=since>
            <ProblemLine/>
            <Show when=accepted>
                <p class="good">"Accepted. You can leave this page; we'll tell you."</p>
            </Show>
            <h1>{title}</h1>
            <p class="facts">
                <strong data-testid="job-state">{move || words::job(&now.read())}</strong>
                " "
                <span data-testid="counts">{move || words::counts(&now.read())}</span>
                " · launched "
                {at}
            </p>
            <Bar job=now/>
            {buttons}
            <nav class="tabs" aria-label="Of this job">
                <a href=format!("/jobs/{id}") data-noscroll="" aria-current=move || current(false)>
                    "Items"
                </a>
                <a
                    href=format!("/jobs/{id}?view=timeline")
                    data-noscroll=""
                    aria-current=move || current(true)
                >
                    "Timeline"
                </a>
            </nav>
            {items}
            {timeline()}
            {details}
        </Frame>
    }
    .into_any()
}

#[component]
fn Buttons(id: JobId, job: Memo<api::Job>, channels: Vec<String>) -> impl IntoView {
    let action = move |what: &str| format!("/jobs/{id}/{what}");
    let running = move || job.read().state == JobState::Running && !job.read().cancel_requested;
    let which = (channels.len() > 1).then(|| {
        let choices = channels
            .into_iter()
            .map(|id| view! { <option value=id.clone()>{format!("of {id}")}</option> })
            .collect_view();
        view! {
            <select name="channel" aria-label="Channel to retry">
                <option value="">"of all channels"</option>
                {choices}
            </select>
        }
    });
    view! {
        <div class="buttons">
            <form method="post" action=action("cancel")>
                <button disabled=move || !running()>"Cancel"</button>
            </form>
            <form method="post" action=action("pause")>
                <button disabled=move || !running() || job.read().paused>"Pause"</button>
            </form>
            <form method="post" action=action("resume")>
                <button disabled=move || !running() || !job.read().paused>"Resume"</button>
            </form>
            <form
                class="buttons"
                method="post"
                action=action("retry")
                hidden=move || job.read().counts.failed == 0
            >
                <button>"Retry failed"</button>
                {which}
            </form>
        </div>
    }
}

/// Picks from a job's counters.
type Count = fn(&contract::state::Counts) -> u32;

/// Where the job is, segmented by state.
#[component]
fn Bar(job: Memo<api::Job>) -> impl IntoView {
    let part = move |count: Count| {
        let counts = job.read().counts;
        format!("{:.2}", f64::from(count(&counts)) / f64::from(counts.total.max(1)) * 100.0)
    };
    let ends: [(&str, Count, Count); 4] = [
        ("succeeded", |_| 0, |c| c.succeeded),
        ("failed", |c| c.succeeded, |c| c.failed),
        ("needs_person", |c| c.succeeded + c.failed, |c| c.needs_person),
        ("cancelled", |c| c.succeeded + c.failed + c.needs_person, |c| c.cancelled),
    ];
    view! {
        <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
            {ends
                .into_iter()
                .map(|(state, from, count)| {
                    view! {
                        <rect
                            class=state
                            x=move || part(from)
                            y="0"
                            height="4"
                            width=move || part(count)
                        ></rect>
                    }
                })
                .collect_view()}
        </svg>
    }
}
