//! The grid: a row a product or machine, a cell a task, all of them live. The
//! server filters and searches; the browser draws the rows that are seen.

mod cell;
mod controls;
mod keys;
mod window;

use super::{asked::Asked, header::Now};
use crate::{data::job::FIRST, words};
use contract::{
    api::{Filter, Grid, GridRow, Task},
    state::JobKind,
};
use leptos::{ev, prelude::*};
use std::sync::Arc;
use window::{Reading, Window};

/// Which task of a row stands in a column.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    heading: String,
    kind: &'static str,
    channel: Option<String>,
}

impl Column {
    fn holds(&self, task: &Task) -> bool {
        match &self.channel {
            Some(_) => task.channel == self.channel,
            None => task.kind == self.kind,
        }
    }
}

fn columns(now: Now) -> Vec<Column> {
    let page = now.page.read_untracked();
    match page.job.kind {
        JobKind::ProductUploads => page
            .job
            .channels
            .iter()
            .map(|id| {
                let known = page.channels.iter().find(|channel| channel.id == *id);
                Column {
                    heading: known.map_or_else(|| id.clone(), |channel| channel.name.clone()),
                    kind: "product.upload",
                    channel: Some(id.clone()),
                }
            })
            .collect(),
        JobKind::Ec2Starts => [("Start", "ec2.start"), ("Alarm", "alarm.create")]
            .map(|(heading, kind)| Column { heading: heading.into(), kind, channel: None })
            .into(),
        JobKind::Noops => vec![Column { heading: "Run".into(), kind: "noop.run", channel: None }],
    }
}

#[component]
pub fn Items(now: Now, asked: Asked, first: Grid) -> impl IntoView {
    let columns: Arc<[Column]> = columns(now).into();
    let width = columns.len();
    let offset = first.offset;
    let window = Window::new(now, asked, width, first);
    window.follow();
    let heads = columns
        .iter()
        .map(|column| view! { <th scope="col">{column.heading.clone()}</th> })
        .collect_view();
    let subject = match now.page.read_untracked().job.kind {
        JobKind::ProductUploads => "Product",
        JobKind::Ec2Starts => "Machine",
        JobKind::Noops => "No-op",
    };
    let gap = move |height: Signal<f64>| {
        view! {
            <tr class="gap" aria-hidden="true" hidden=move || height.get() < 1.0>
                <td colspan=width + 1>
                    <svg width="1" height=move || height.get().round().to_string()></svg>
                </td>
            </tr>
        }
    };
    let above = Signal::derive(move || window.height_of(window.span.get().0));
    let below = Signal::derive(move || {
        window.height_of(window.matching().saturating_sub(window.span.get().1))
    });
    let rows = view! {
        <ForEnumerate
            each=move || window.drawn()
            key=|(_, row)| row.row
            children=move |index, (seq, row)| line(window, &columns, index, seq, &row)
        />
    };
    view! {
        {controls::controls(now, asked)}
        <p class="facts" role="status" data-testid="matching">{move || matching(window)}</p>
        <p class="problem" role="alert" hidden=move || window.reading.get() != Reading::Failed>
            "These rows could not be read. "
            <button class="quiet" on:click=move |_| window.again()>"Try again"</button>
        </p>
        <div
            class="scroll"
            tabindex="0"
            role="region"
            aria-label="Items"
            aria-busy=move || (window.reading.get() == Reading::Asked).then_some("true")
            node_ref=window.region
            on:scroll=move |_| window.look()
            on:keydown=move |event: ev::KeyboardEvent| keys::pressed(window, &event)
            on:focusin=move |event: ev::FocusEvent| keys::focused(window, &event)
        >
            <table class="grid" aria-rowcount=move || window.matching() + 1>
                <thead>
                    <tr aria-rowindex="1"><th scope="col">{subject}</th>{heads}</tr>
                </thead>
                <tbody>{gap(above)} {rows.into_any()} {gap(below)}</tbody>
            </table>
        </div>
        <p class="facts told" data-testid="told">{move || window.told.get()}</p>
        {pages(window, asked, offset)}
    }
}

/// How many rows match, and what to do where none does.
fn matching(window: Window) -> String {
    let (filter, words) = window.answered();
    let all = filter == Filter::All && words.is_empty();
    let rows = words::many(window.matching().into(), "row");
    let found = match (window.matching(), all) {
        (0, true) => "There are no items.".to_owned(),
        (0, false) => "No item matches. Choose All and clear the search.".to_owned(),
        (_, true) => rows,
        (1, false) => format!("{rows} matches"),
        (_, false) => format!("{rows} match"),
    };
    match window.reading.get() {
        Reading::Asked => format!("{found} · reading …"),
        Reading::Idle | Reading::Failed => found,
    }
}

fn line(
    window: Window,
    columns: &[Column],
    index: ReadSignal<usize>,
    seq: i64,
    row: &Arc<GridRow>,
) -> AnyView {
    let place = Signal::derive(move || {
        window.span.get().0 + u32::try_from(index.get()).unwrap_or(u32::MAX)
    });
    let cells = columns
        .iter()
        .enumerate()
        .map(|(number, column)| cell::cell(window, column, place, number, seq, row))
        .collect_view();
    let (sku, title) = (row.sku.clone(), row.title.clone());
    view! {
        <tr aria-rowindex=move || place.get() + 2>
            <th scope="row">{sku} " " <small>{title}</small></th>
            {cells}
        </tr>
    }
    .into_any()
}

/// Ways to the rows before and after, for whoever has no scripts.
fn pages(window: Window, asked: Asked, offset: u32) -> impl IntoView {
    let to = move |from: u32| {
        let (filter, words) = (asked.filter.get_untracked(), asked.words.get_untracked());
        untrack(move || asked.rows(filter, &words, from))
    };
    let before = (offset > 0).then(|| {
        view! { <a href=to(offset.saturating_sub(FIRST))>"Rows before"</a> }
    });
    let more = untrack(|| window.matching()) > offset + FIRST;
    let after = more.then(|| view! { <a href=to(offset + FIRST)>"Rows after"</a> });
    view! { <nav class="pages unscripted" aria-label="Of rows">{before} " " {after}</nav> }
}
