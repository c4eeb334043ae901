//! One task: a sign, words for whoever can't see it, and the way to more.

use super::{Column, window::Window};
use crate::{live::Live, page::job::cell_id, sign::sign, words};
use contract::{
    TaskId,
    api::{GridRow, Task},
};
use leptos::prelude::*;

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
