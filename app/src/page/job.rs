//! One job: what happened to every item, as it happens.

use crate::{
    data::{JobPage, SHOWN, read_job},
    frame::{Frame, ProblemLine},
    live::Live,
    words,
};
use contract::{
    api,
    fact::Fact,
    state::{JobState, TaskState},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use std::collections::BTreeMap;

#[component]
pub fn Job() -> impl IntoView {
    let live = expect_context::<Live>();
    let params = use_params_map();
    let page = Resource::new(
        move || (params.read().get("id").unwrap_or_default(), live.resync.get()),
        |(id, _)| read_job(id),
    );
    view! {
        <Suspense fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(Some(page)) => content(page).into_any(),
                    Ok(None) => view! { <super::missing::Missing/> }.into_any(),
                    Err(error) => failed(&error).into_any(),
                }
            })}
        </Suspense>
    }
}

/// The page could not be read.
pub fn failed(error: &ServerFnError) -> impl IntoView + use<> {
    let words = match error {
        ServerFnError::ServerError(words) => words.clone(),
        _ => "The server did not answer. Try again soon.".into(),
    };
    view! {
        <main class="door">
            <h1>"This page could not be read"</h1>
            <p role="alert">{words}</p>
            <p><a href="" rel="external">"Try again"</a></p>
        </main>
    }
}

fn content(page: JobPage) -> impl IntoView {
    let live = expect_context::<Live>();
    let JobPage { since, job, tasks, timeline } = page;
    let seq = since.seq;
    let query = use_query_map();
    let accepted = move || query.read().get("accepted").is_some();
    let title = job.title.clone();
    let at = words::time(job.created_at);
    let id = job.id;
    let more = job.counts.total > SHOWN;
    let channels = job.channels.clone();
    let now = Memo::new(move |_| live.job(&job, seq));
    let action = move |what: &str| format!("/jobs/{id}/{what}");
    let running = move || now.read().state == JobState::Running && !now.read().cancel_requested;
    let (cancel, pause, resume, retry) =
        (action("cancel"), action("pause"), action("resume"), action("retry"));
    view! {
        <Title text=title.clone()/>
        <Frame since=since sandbox=false>
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
            <div class="buttons">
                <form method="post" action=cancel>
                    <button disabled=move || !running()>"Cancel"</button>
                </form>
                <form method="post" action=pause>
                    <button disabled=move || !running() || now.read().paused>"Pause"</button>
                </form>
                <form method="post" action=resume>
                    <button disabled=move || !running() || !now.read().paused>"Resume"</button>
                </form>
                <form method="post" action=retry>
                    <button disabled=move || now.read().counts.failed == 0>"Retry failed"</button>
                </form>
            </div>
            <h2>"Items"</h2>
            {more.then(|| view! { <p>{format!("The first {SHOWN} items are shown.")}</p> })}
            <Items job=id channels=channels tasks=tasks seq=seq/>
            <h2>"Timeline"</h2>
            <ol class="timeline">{timeline.iter().map(moment).collect_view()}</ol>
        </Frame>
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

#[component]
fn Items(
    job: contract::JobId,
    channels: Vec<String>,
    tasks: Vec<api::Task>,
    seq: i64,
) -> impl IntoView {
    let live = expect_context::<Live>();
    let known = StoredValue::new(tasks.clone());
    let mut rows: BTreeMap<u32, Vec<api::Task>> = BTreeMap::new();
    for task in tasks {
        rows.entry(task.row).or_default().push(task);
    }
    let uploads = !channels.is_empty();
    let heads =
        channels.iter().map(|id| view! { <th scope="col">{id.clone()}</th> }).collect_view();
    let place = move |task: &api::Task| {
        let place = task.channel.as_ref().map(|id| channels.iter().position(|c| c == id));
        place.flatten().unwrap_or(usize::MAX)
    };
    let lines = rows
        .into_values()
        .map(|mut tasks| {
            tasks.sort_by_key(|task| (place(task), task.cause.is_some()));
            let name = tasks.first().map(|task| (task.sku.clone(), task.title.clone()));
            let (sku, title) = name.unwrap_or_default();
            let cells =
                tasks.into_iter().map(|task| view! { <Cell task=task seq=seq/> }).collect_view();
            view! {
                <tr>
                    <th scope="row">{sku} " " <small>{title}</small></th>
                    {cells}
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Items">
            <table class="grid">
                <thead>
                    <tr>
                        <th scope="col">{if uploads { "Product" } else { "Machine" }}</th>
                        {heads}
                        {(!uploads).then(|| view! { <th scope="col">"Start"</th><th scope="col">"Alarm"</th> })}
                    </tr>
                </thead>
                <tbody>{lines}</tbody>
            </table>
        </div>
        <ul class="caused">
            {move || {
                known
                    .with_value(|known| live.new_tasks(job, known))
                    .into_iter()
                    .map(|task| {
                        view! {
                            <li data-testid="caused" data-state=task.state.as_str()>
                                {task.kind.clone()}
                                " "
                                {task.sku.clone()}
                                ": "
                                {words::task(&task)}
                            </li>
                        }
                    })
                    .collect_view()
            }}
        </ul>
    }
}

/// One task: a sign, and words for whoever can't see it.
#[component]
fn Cell(task: api::Task, seq: i64) -> impl IntoView {
    let live = expect_context::<Live>();
    let (sku, channel) = (task.sku.clone(), task.channel.clone().unwrap_or_default());
    let resolve = format!("/tasks/{}/resolve", task.id);
    let now = Memo::new(move |_| live.task(&task, seq));
    view! {
        <td
            data-testid="cell"
            data-sku=sku
            data-channel=channel
            data-state=move || now.read().state.as_str()
            title=move || words::reason(&now.read())
        >
            <span aria-hidden="true">{move || words::sign(&now.read())}</span>
            <span class="word">{move || words::task(&now.read())}</span>
            <Show when=move || now.read().state == TaskState::NeedsPerson>
                <form method="post" action=resolve.clone()>
                    <button name="as" value="done">"It is done"</button>
                    <button name="as" value="again">"Do it again"</button>
                </form>
            </Show>
        </td>
    }
}

fn moment(fact: &Fact) -> impl IntoView + use<> {
    let what = fact.data.task.as_ref().map(|task| {
        let at = task.channel.as_ref().map(|id| format!(" on {id}")).unwrap_or_default();
        format!("{}{at}: {}. {}", task.sku, words::task(task), words::reason(task))
    });
    let words = what.unwrap_or_else(|| fact.kind.as_str().replace('.', " "));
    view! { <li><time>{words::time(fact.at)}</time> " " {words}</li> }
}
