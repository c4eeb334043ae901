//! The grid: a row a product or machine, a cell a task, all of them live.

use crate::{live::Live, words};
use contract::{
    JobId,
    api::{Filter, Task},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use std::collections::BTreeMap;

/// One row and its tasks as they are now.
#[derive(Clone)]
struct Row {
    sku: String,
    title: String,
    /// What a search looks through.
    text: String,
    cells: Vec<Memo<Task>>,
}

/// What the user wants to see of the grid.
#[derive(Clone, Copy)]
struct Wanted {
    filter: RwSignal<Filter>,
    /// In lower case.
    text: RwSignal<String>,
}

impl Wanted {
    fn takes(self, row: &Row) -> bool {
        let filter = self.filter.get();
        self.text.with(|text| row.text.contains(text.as_str()))
            && (filter == Filter::All
                || row.cells.iter().any(|cell| words::shows(filter, cell.read().state)))
    }
}

#[component]
pub fn Items(job: JobId, channels: Vec<String>, tasks: Vec<Task>, seq: i64) -> impl IntoView {
    let live = expect_context::<Live>();
    let query = use_query_map().get_untracked();
    let wanted = Wanted {
        filter: RwSignal::new(
            query.get("show").and_then(|word| word.parse().ok()).unwrap_or(Filter::All),
        ),
        text: RwSignal::new(query.get("q").unwrap_or_default().to_lowercase()),
    };
    let known = StoredValue::new(tasks.clone());
    let uploads = !channels.is_empty();
    let heads =
        channels.iter().map(|id| view! { <th scope="col">{id.clone()}</th> }).collect_view();
    let rows = rows(live, &channels, tasks, seq);
    let lines = rows.iter().map(|row| line(job, row, wanted)).collect_view();
    let total = rows.len();
    let rows = StoredValue::new(rows);
    let matching = Memo::new(move |_| {
        rows.with_value(|rows| rows.iter().filter(|row| wanted.takes(row)).count())
    });
    let controls = view! { <Controls job=job wanted=wanted/> }.into_any();
    view! {
        {controls}
        <p class="facts" role="status" data-testid="matching">
            {move || match (matching.get(), total) {
                (0, 0) => "There are no items.".to_owned(),
                (0, _) => "No item matches. Choose All and clear the search.".to_owned(),
                (some, all) if some == all => format!("{all} rows"),
                (some, all) => format!("{some} of {all} rows"),
            }}
        </p>
        <div class="scroll" tabindex="0" role="region" aria-label="Items">
            <table class="grid">
                <thead>
                    <tr>
                        <th scope="col">{if uploads { "Product" } else { "Machine" }}</th>
                        {heads}
                        {(!uploads)
                            .then(|| view! { <th scope="col">"Start"</th><th scope="col">"Alarm"</th> })}
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
                                {words::about(&task)}
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

fn rows(live: Live, channels: &[String], tasks: Vec<Task>, seq: i64) -> Vec<Row> {
    let mut rows: BTreeMap<u32, Vec<Task>> = BTreeMap::new();
    for task in tasks {
        rows.entry(task.row).or_default().push(task);
    }
    let place = |task: &Task| {
        let place = task.channel.as_ref().map(|id| channels.iter().position(|c| c == id));
        place.flatten().unwrap_or(usize::MAX)
    };
    rows.into_values()
        .map(|mut tasks| {
            tasks.sort_by_key(|task| (place(task), task.cause.is_some()));
            let name = tasks.first().map(|task| (task.sku.clone(), task.title.clone()));
            let (sku, title) = name.unwrap_or_default();
            let text = format!("{sku} {title}").to_lowercase();
            let cells =
                tasks.into_iter().map(|task| Memo::new(move |_| live.task(&task, seq))).collect();
            Row { sku, title, text, cells }
        })
        .collect()
}

fn line(job: JobId, row: &Row, wanted: Wanted) -> impl IntoView + use<> {
    let cells = row.cells.iter().map(|cell| view! { <Cell job=job now=*cell/> }).collect_view();
    let (sku, title, row) = (row.sku.clone(), row.title.clone(), row.clone());
    view! {
        <tr hidden=move || !wanted.takes(&row)>
            <th scope="row">{sku} " " <small>{title}</small></th>
            {cells}
        </tr>
    }
}

/// Filter and search; without scripts a form that asks the server.
#[component]
fn Controls(job: JobId, wanted: Wanted) -> impl IntoView {
    let chosen = wanted.filter.get_untracked();
    let choices = Filter::ALL
        .iter()
        .map(|&filter| {
            view! {
                <option value=filter.as_str() selected=filter == chosen>
                    {words::filter(filter)}
                </option>
            }
        })
        .collect_view();
    view! {
        <form
            class="controls"
            method="get"
            action=format!("/jobs/{job}")
            role="search"
            on:submit=|event| event.prevent_default()
        >
            <label>
                "Show "
                <select
                    name="show"
                    data-testid="filter"
                    on:change=move |event| {
                        if let Ok(filter) = event_target_value(&event).parse() {
                            wanted.filter.set(filter);
                        }
                    }
                >
                    {choices}
                </select>
            </label>
            <label>
                "Search "
                <input
                    type="search"
                    name="q"
                    data-testid="search"
                    placeholder="SKU or title"
                    value=wanted.text.get_untracked()
                    on:input=move |event| wanted.text.set(event_target_value(&event).to_lowercase())
                />
            </label>
            <button class="unscripted">"Show"</button>
        </form>
    }
}

/// One task: a sign, words for whoever can't see it, and the way to more.
#[component]
fn Cell(job: JobId, now: Memo<Task>) -> impl IntoView {
    let task = now.get_untracked();
    let name = words::about(&task);
    view! {
        <td
            data-testid="cell"
            data-sku=task.sku
            data-channel=task.channel.unwrap_or_default()
            data-state=move || now.read().state.as_str()
            title=move || words::reason(&now.read())
        >
            <a
                id=super::cell_id(&task.id.to_string())
                href=format!("/jobs/{job}?task={}", task.id)
                data-noscroll=""
                aria-label=move || format!("{name}: {}", words::task(&now.read()))
            >
                <span class="sign" aria-hidden="true">{move || words::sign(&now.read())}</span>
                <span class="word">{move || words::task(&now.read())}</span>
            </a>
        </td>
    }
}
