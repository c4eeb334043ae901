//! Timeline of one scenario: a lane for each way, all with the same scale.

use contract::comparison::{Figures, Timeline, measures::duration};
use leptos::prelude::*;

/// Width of a lane in units of its drawing.
const WIDTH: u64 = 1_000;
/// Width of a mark.
const MARK_WIDTH: u64 = 5;

/// Renders the timeline. The sentence under each lane says the same as its drawing.
pub fn timeline(figures: &[&Figures]) -> AnyView {
    let end = figures.iter().map(|figures| figures.timeline.end_ms).max().unwrap_or(1).max(1);
    let lanes = figures.iter().map(|figures| lane(figures, end)).collect_view();
    view! {
        <div class="compared-lanes" data-testid="timeline">
            {lanes}
            <p class="compared-scale meta">
                <span>"0 s"</span>
                <span>{duration(end)}</span>
            </p>
            <p class="meta">
                "Wide band: the person waits for the answer. Low marks: items that were done. High marks: the moments in the sentence."
            </p>
        </div>
    }
    .into_any()
}

fn lane(figures: &Figures, end: u64) -> AnyView {
    let Timeline { effects_ms, left_ms, killed_ms, restarted_ms, notified_ms, resent_ms, end_ms } =
        &figures.timeline;
    let x = |ms: u64| ms.min(end) * (WIDTH - MARK_WIDTH) / end;
    let effects = effects_ms
        .iter()
        .map(|at| {
            view! { <rect data-state="running" x=x(*at) y="9" width=MARK_WIDTH - 1 height="10"></rect> }
        })
        .collect_view();
    let moments = [
        (left_ms, "failed"),
        (killed_ms, "failed"),
        (restarted_ms, "needs_review"),
        (resent_ms, "needs_review"),
        (notified_ms, "succeeded"),
    ];
    let moments = moments
        .into_iter()
        .filter_map(|(at, state)| Some(((*at)?, state)))
        .map(|(at, state)| {
            view! { <rect data-state=state x=x(at) y="0" width=MARK_WIDTH height="28"></rect> }
        })
        .collect_view();
    let waited = x(figures.waited_ms()).max(MARK_WIDTH);
    view! {
        <figure class="compared-lane">
            <svg viewBox=format!("0 0 {WIDTH} 28") preserveAspectRatio="none" aria-hidden="true">
                <rect data-state="waiting" x="0" y="13" width=x(*end_ms) height="2"></rect>
                <rect data-state="needs_review" x="0" y="21" width=waited height="5"></rect>
                {effects}
                {moments}
            </svg>
            <figcaption>
                <strong>{figures.way.name()}</strong>
                ": "
                {figures.sentence()}
            </figcaption>
        </figure>
    }
    .into_any()
}
