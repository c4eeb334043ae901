//! The grid: one row per product or machine, one cell per task, all of them live. The
//! server filters and searches; the browser draws the visible rows.

mod cell;
mod controls;
mod keyboard;
mod rows;
mod window;

use super::{INITIAL_ROWS, header::LiveJob, route_state::JobRoute};
use crate::labels;
use contract::{
    api::{Grid, GridFilter, GridRow, Task},
    command::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, NoopRun, ProductUpload},
    state::JobKind,
};
use leptos::{ev, prelude::*};
use std::sync::Arc;
use window::{GridWindow, ReadState};

/// Column of the grid, and which task of a row it shows.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    heading: String,
    kind: &'static str,
    channel: Option<String>,
}

impl Column {
    fn contains(&self, task: &Task) -> bool {
        match &self.channel {
            Some(_) => task.channel == self.channel,
            None => task.kind == self.kind,
        }
    }
}

fn columns(live_job: LiveJob) -> Vec<Column> {
    let page = live_job.page.read_untracked();
    match page.job.kind {
        JobKind::ProductUploads => page
            .job
            .channels
            .iter()
            .map(|id| {
                let known = page.channels.iter().find(|channel| channel.id == *id);
                Column {
                    heading: known.map_or_else(|| id.clone(), |channel| channel.name.clone()),
                    kind: ProductUpload::KIND,
                    channel: Some(id.clone()),
                }
            })
            .collect(),
        JobKind::Ec2Starts => {
            columns_of_kinds(&[("Start", Ec2Start::KIND), ("Alarm", AlarmCreate::KIND)])
        }
        JobKind::Ec2Launches => {
            columns_of_kinds(&[("Launch", Ec2Launch::KIND), ("Alarm", AlarmCreate::KIND)])
        }
        JobKind::Ec2Stops => columns_of_kinds(&[("Stop", Ec2Stop::KIND)]),
        JobKind::Noops => columns_of_kinds(&[("Run", NoopRun::KIND)]),
    }
}

fn columns_of_kinds(kinds: &[(&str, &'static str)]) -> Vec<Column> {
    let column = |(heading, kind): &(&str, &'static str)| Column {
        heading: (*heading).into(),
        kind,
        channel: None,
    };
    kinds.iter().map(column).collect()
}

#[component]
pub fn Items(live_job: LiveJob, route: JobRoute, first: Grid) -> impl IntoView {
    let columns: Arc<[Column]> = columns(live_job).into();
    let width = columns.len();
    let offset = first.offset;
    let window = GridWindow::new(live_job, route, width, first);
    window.track_changes();
    let heads = columns
        .iter()
        .map(|column| view! { <th scope="col">{column.heading.clone()}</th> })
        .collect_view();
    let subject = match live_job.page.read_untracked().job.kind {
        JobKind::ProductUploads => "Product",
        JobKind::Ec2Starts | JobKind::Ec2Stops | JobKind::Ec2Launches => "Machine",
        JobKind::Noops => "No-op",
    };
    let gap = move |height: Signal<f64>| {
        view! {
            <tr class="spacer-row" aria-hidden="true" hidden=move || height.get() < 1.0>
                <td colspan=width + 1>
                    <svg width="1" height=move || height.get().round().to_string()></svg>
                </td>
            </tr>
        }
    };
    let above = Signal::derive(move || window.height_of(window.drawn_range.get().0));
    let below = Signal::derive(move || {
        window.height_of(window.matching().saturating_sub(window.drawn_range.get().1))
    });
    let rows = view! {
        <ForEnumerate
            each=move || window.rows_to_draw()
            key=|(_, row)| row.row
            children=move |index, (seq, row)| grid_row(window, &columns, index, seq, &row)
        />
    };
    view! {
        {controls::controls(live_job, route)}
        <p class="meta" role="status" data-testid="matching-count">{move || matching_summary(window)}</p>
        <p class="problem" role="alert" hidden=move || window.read_state.get() != ReadState::Failed>
            "These rows could not be loaded. "
            <button class="subtle" on:click=move |_| window.reload()>"Try again"</button>
        </p>
        <div
            class="grid-region"
            tabindex="0"
            role="region"
            aria-label="Items"
            aria-busy=move || (window.read_state.get() == ReadState::Pending).then_some("true")
            node_ref=window.region
            on:scroll=move |_| window.update_window()
            on:keydown=move |event: ev::KeyboardEvent| keyboard::handle_keydown(window, &event)
            on:focusin=move |event: ev::FocusEvent| keyboard::handle_focus(window, &event)
        >
            <table class="grid" aria-rowcount=move || window.matching() + 1>
                <thead>
                    <tr aria-rowindex="1"><th scope="col">{subject}</th>{heads}</tr>
                </thead>
                <tbody>{gap(above)} {rows.into_any()} {gap(below)}</tbody>
            </table>
        </div>
        <p class="meta announcement" data-testid="announcement">{move || window.announcement.get()}</p>
        {page_links(window, route, offset)}
    }
}

/// Returns how many rows match, and what to do if none does.
fn matching_summary(window: GridWindow) -> String {
    let (filter, words) = window.loaded_query();
    let all = filter == GridFilter::All && words.is_empty();
    let rows = labels::count_noun(window.matching().into(), "row");
    let found = match (window.matching(), all) {
        (0, true) => "There are no items.".to_owned(),
        (0, false) => "No items match. Choose All and clear the search.".to_owned(),
        (_, true) => rows,
        (1, false) => format!("{rows} matches"),
        (_, false) => format!("{rows} match"),
    };
    match window.read_state.get() {
        ReadState::Pending => format!("{found} · loading …"),
        ReadState::Idle | ReadState::Failed => found,
    }
}

fn grid_row(
    window: GridWindow,
    columns: &[Column],
    index: ReadSignal<usize>,
    seq: i64,
    row: &Arc<GridRow>,
) -> AnyView {
    let row_index = Signal::derive(move || {
        window.drawn_range.get().0 + u32::try_from(index.get()).unwrap_or(u32::MAX)
    });
    let cells = columns
        .iter()
        .enumerate()
        .map(|(number, column)| cell::cell(window, column, row_index, number, seq, row))
        .collect_view();
    let (sku, title) = (row.sku.clone(), row.title.clone());
    view! {
        <tr aria-rowindex=move || row_index.get() + 2>
            <th scope="row">{sku} " " <small>{title}</small></th>
            {cells}
        </tr>
    }
    .into_any()
}

/// Links to the previous and next rows, for use without scripts.
fn page_links(window: GridWindow, route: JobRoute, offset: u32) -> impl IntoView {
    let to = move |from: u32| {
        let (filter, words) = (route.filter.get_untracked(), route.search.get_untracked());
        untrack(move || route.rows_url(filter, &words, from))
    };
    let before = (offset > 0).then(|| {
        view! { <a href=to(offset.saturating_sub(INITIAL_ROWS))>"Previous rows"</a> }
    });
    let more = untrack(|| window.matching()) > offset + INITIAL_ROWS;
    let after = more.then(|| view! { <a href=to(offset + INITIAL_ROWS)>"Next rows"</a> });
    view! { <nav class="pages no-script" aria-label="Pages of rows">{before} " " {after}</nav> }
}
