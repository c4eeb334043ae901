//! Cell of one task: an icon, a label for screen readers and a link to the details.

use super::{Column, window::GridWindow};
use crate::{icons::state_icon, labels, live::LiveState, page::job::cell_id};
use contract::{
    TaskId,
    api::{GridRow, Task},
};
use leptos::prelude::*;

/// Renders the cell of `row` in a column. A follow-up task that appears later fills an empty cell.
pub fn cell(
    window: GridWindow,
    column: &Column,
    row_index: Signal<u32>,
    number: usize,
    seq: i64,
    row: &GridRow,
) -> AnyView {
    let live = expect_context::<LiveState>();
    let (job, kind) = (window.job, column.kind);
    let index = number + 2;
    if let Some(task) = row.cells.iter().find(|task| column.contains(task)) {
        return task_cell(window, live, row_index, number, seq, task.clone()).into_any();
    }
    let line = row.row;
    let later = Memo::new(move |_| live.follow_up_task(job, line, kind));
    // A closure, so that a later task appears even if the row is not drawn again.
    view! {
        {move || match later.get() {
            Some(task) => task_cell(window, live, row_index, number, seq, task).into_any(),
            None => view! { <td class="no-task" aria-colindex=index>"not yet"</td> }.into_any(),
        }}
    }
    .into_any()
}

fn task_cell(
    window: GridWindow,
    live: LiveState,
    row_index: Signal<u32>,
    number: usize,
    seq: i64,
    task: Task,
) -> impl IntoView {
    let (id, name) = (task.id, labels::task_subject(&task));
    let (sku, channel) = (task.sku.clone(), task.channel.clone().unwrap_or_default());
    let now = Memo::new(move |_| live.current_task(&task, seq));
    let label = move || {
        let now = now.read();
        let reason = labels::task_reason(&now);
        let gap = if reason.is_empty() { "" } else { ". " };
        format!("{name}: {}{gap}{reason}", labels::task_status(&now))
    };
    view! {
        <td
            aria-colindex=number + 2
            data-testid="cell"
            data-sku=sku
            data-channel=channel
            data-state=move || labels::task_state_attribute(&now.read())
            title=move || labels::task_reason(&now.read())
        >
            <a
                id=cell_id(&id.to_string())
                href=move || window.route.details_url(&id.to_string())
                data-noscroll=""
                tabindex=move || window.tab_stop(row_index.get(), number)
                aria-current=move || aria_current(window, id)
                aria-label=label
            >
                <svg class="state-icon" viewBox="0 0 16 16" aria-hidden="true">
                    <path d=move || state_icon(now.read().state)></path>
                </svg>
                <span class="state-label">{move || labels::task_status(&now.read())}</span>
            </a>
        </td>
    }
}

fn aria_current(window: GridWindow, task: TaskId) -> Option<&'static str> {
    let open = window.route.task.read().as_ref().is_some_and(|id| *id == task.to_string());
    open.then_some("true")
}
