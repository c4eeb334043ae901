//! Table of the figures of one scenario.

use contract::comparison::{Figures, Notice, Scenario};
use leptos::prelude::*;

/// Row of the table: its name for tests and for people, and its value with the state that gives
/// the colour.
type Row = (&'static str, &'static str, fn(&Figures) -> (String, &'static str));

const ROWS: [Row; 6] = [
    ("answer", "Time to the answer", |it| match it.answer_ms {
        Some(ms) => (time(ms), "neutral"),
        None => ("no answer".into(), "failed"),
    }),
    ("done", "Time until all is done", |it| match it.done_ms {
        Some(ms) => (time(ms), "neutral"),
        None => ("never".into(), "failed"),
    }),
    ("over-limit", "Requests over a limit", |it| {
        (it.over_limit.to_string(), good_if(it.over_limit == 0))
    }),
    ("lost", "Lost", |it| (format!("{} of {}", it.missing, it.items), good_if(it.missing == 0))),
    ("duplicates", "Duplicates, sent again", |it| {
        (it.duplicates.to_string(), good_if(it.duplicates == 0))
    }),
    ("notice", "The person is told", |it| match it.notice {
        Notice::None => ("nothing".into(), "failed"),
        Notice::OnRequest => ("if they ask in time".into(), "needs_review"),
        Notice::Response => ("by the answer".into(), "succeeded"),
        Notice::Notification => ("by a notification".into(), "succeeded"),
    }),
];

const fn good_if(is_good: bool) -> &'static str {
    if is_good { "succeeded" } else { "failed" }
}

/// Renders the figures of a scenario, one column for each way.
pub fn table(scenario: Scenario, figures: &[&Figures]) -> AnyView {
    let heads = figures
        .iter()
        .map(|figures| view! { <th scope="col">{figures.way.name()}</th> })
        .collect_view();
    // Only one scenario has a person who sends the batch again.
    let rows = ROWS
        .iter()
        .filter(|(id, ..)| *id != "duplicates" || scenario == Scenario::Killed)
        .map(|(id, name, value)| {
            let cells = figures
                .iter()
                .map(|figures| {
                    let (text, state) = value(figures);
                    view! {
                        <td data-testid=*id data-way=figures.way.as_str()>
                            <strong data-state=state>{text}</strong>
                        </td>
                    }
                })
                .collect_view();
            view! {
                <tr>
                    <th scope="row">{*name}</th>
                    {cells}
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-region compared-figures" role="region" aria-label=scenario.name() tabindex="0">
            <table class="data-table">
                <thead>
                    <tr>
                        <th scope="col">"Measured"</th>
                        {heads}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Formats milliseconds, such as `4 ms`, `3.2 s` or `45 s`.
pub fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ => crate::labels::duration(i64::try_from(ms).unwrap_or(i64::MAX)),
    }
}
