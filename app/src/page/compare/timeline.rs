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
                "Wide band: the person waits for the answer. Low marks: items that were done. High marks: the other moments in the sentence."
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
        (&figures.answer_ms, "neutral"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use contract::comparison::{Notice, Scenario, Way};

    #[test]
    fn every_moment_of_the_sentence_has_a_mark() {
        let figures = Figures {
            scenario: Scenario::Left,
            way: Way::ByEvents,
            items: 1,
            answer_ms: Some(20),
            done_ms: Some(900),
            over_limit: 0,
            lost: 0,
            duplicates: 0,
            notice: Notice::Notification,
            timeline: Timeline {
                effects_ms: vec![900],
                left_ms: Some(300),
                notified_ms: Some(950),
                end_ms: 1_000,
                ..Timeline::default()
            },
        };
        let html = timeline(&[&figures]).to_html();
        // Answered, left, notified; the end of the last item is a low mark.
        assert_eq!(figures.sentence().matches("after").count(), 4);
        assert_eq!(html.matches(r#" height="28""#).count(), 3, "{html}");
        assert_eq!(html.matches(r#" height="10""#).count(), 1, "{html}");
    }
}
