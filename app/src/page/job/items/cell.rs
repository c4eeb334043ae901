//! One task: a sign, words for whoever can't see it, and the way to more.

use super::{Column, window::Window};
use crate::{live::Live, page::job::cell_id, words};
use contract::{
    TaskId,
    api::{GridRow, Task},
    state::TaskState,
};
use leptos::prelude::*;

/// A sign that reads without colour, drawn in 16 by 16.
pub const fn sign(state: TaskState) -> &'static str {
    match state {
        TaskState::Queued => "M8 5.2a2.8 2.8 0 100 5.6 2.8 2.8 0 000-5.6z",
        TaskState::Running => "M5.5 4v8l6.5-4z",
        TaskState::Succeeded => "M3.5 8.5l3 3 6-7",
        TaskState::Failed => "M4.5 4.5l7 7M11.5 4.5l-7 7",
        TaskState::Cancelled => "M4 8h8",
        TaskState::NeedsPerson => "M5.8 6a2.2 2.2 0 113.2 2c-.7.4-1 .8-1 1.6M8 12.4v.1",
    }
}

/// The cell of `row` in a column; a task that appears later takes its place.
pub fn cell(
    window: Window,
    column: &Column,
    place: Signal<u32>,
    number: usize,
    seq: i64,
    row: &GridRow,
) -> AnyView {
    let live = expect_context::<Live>();
    let (job, kind) = (window.job, column.kind);
    let index = number + 2;
    if let Some(task) = row.cells.iter().find(|task| column.holds(task)) {
        return present(window, live, place, number, seq, task.clone()).into_any();
    }
    let line = row.row;
    let later = Memo::new(move |_| live.caused(job, line, kind));
    // What comes is at its place even while the row is drawn anew.
    view! {
        {move || match later.get() {
            Some(task) => present(window, live, place, number, seq, task).into_any(),
            None => view! { <td class="none" aria-colindex=index>"not yet"</td> }.into_any(),
        }}
    }
    .into_any()
}

fn present(
    window: Window,
    live: Live,
    place: Signal<u32>,
    number: usize,
    seq: i64,
    task: Task,
) -> impl IntoView {
    let (id, name) = (task.id, words::about(&task));
    let (sku, channel) = (task.sku.clone(), task.channel.clone().unwrap_or_default());
    let now = Memo::new(move |_| live.task(&task, seq));
    let label = move || {
        let now = now.read();
        let reason = words::reason(&now);
        let gap = if reason.is_empty() { "" } else { ". " };
        format!("{name}: {}{gap}{reason}", words::task(&now))
    };
    view! {
        <td
            aria-colindex=number + 2
            data-testid="cell"
            data-sku=sku
            data-channel=channel
            data-state=move || now.read().state.as_str()
            title=move || words::reason(&now.read())
        >
            <a
                id=cell_id(&id.to_string())
                href=move || window.asked.details(&id.to_string())
                data-noscroll=""
                tabindex=move || window.tab_stop(place.get(), number)
                aria-current=move || opened(window, id)
                aria-label=label
            >
                <svg class="sign" viewBox="0 0 16 16" aria-hidden="true">
                    <path d=move || sign(now.read().state)></path>
                </svg>
                <span class="word">{move || words::task(&now.read())}</span>
            </a>
        </td>
    }
}

fn opened(window: Window, task: TaskId) -> Option<&'static str> {
    let open = window.asked.task.read().as_ref().is_some_and(|id| *id == task.to_string());
    open.then_some("true")
}
