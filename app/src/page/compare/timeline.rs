//! Timeline of one scenario: a lane for each way, with the same scale.

use super::figures::time;
use contract::comparison::{Figures, Notice, Timeline};
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
                <span>{time(end)}</span>
            </p>
            <p class="meta">
                "Broad band: the person waits for the answer. Thin marks: items that were done. High marks: what the sentences name."
            </p>
        </div>
    }
    .into_any()
}

fn lane(figures: &Figures, end: u64) -> AnyView {
    let Timeline { effects_ms, left_ms, killed_ms, restarted_ms, notified_ms, resent_ms, end_ms } =
        &figures.timeline;
    let x = |ms: u64| ms.min(end) * (WIDTH - MARK_WIDTH) / end;
    let waited = waited_ms(figures).unwrap_or(*end_ms);
    let effects = effects_ms
        .iter()
        .map(|at| view! { <rect data-state="running" x=x(*at) y="9" width=MARK_WIDTH - 1 height="10"></rect> })
        .collect_view();
    let marks = [
        (left_ms, "failed"),
        (killed_ms, "failed"),
        (restarted_ms, "needs_review"),
        (resent_ms, "needs_review"),
        (notified_ms, "succeeded"),
    ];
    let marks = marks
        .into_iter()
        .filter_map(|(at, state)| Some(((*at)?, state)))
        .map(|(at, state)| view! { <rect data-state=state x=x(at) y="0" width=MARK_WIDTH height="28"></rect> })
        .collect_view();
    view! {
        <figure class="compared-lane">
            <svg viewBox=format!("0 0 {WIDTH} 28") preserveAspectRatio="none" aria-hidden="true">
                <rect data-state="waiting" x="0" y="13" width=x(*end_ms) height="2"></rect>
                <rect data-state="needs_review" x="0" y="21" width=x(waited).max(MARK_WIDTH) height="5"></rect>
                {effects}
                {marks}
            </svg>
            <figcaption>
                <strong>{figures.way.name()}</strong>
                ": "
                {sentence(figures)}
            </figcaption>
        </figure>
    }
    .into_any()
}

/// Returns how long the person waited: until the answer, or until they left or the server died.
fn waited_ms(figures: &Figures) -> Option<u64> {
    let Timeline { left_ms, killed_ms, .. } = figures.timeline;
    figures.answer_ms.or(left_ms).or(killed_ms)
}

/// Returns a lane in words.
fn sentence(figures: &Figures) -> String {
    let Figures { items, missing, answer_ms, done_ms, notice, timeline, .. } = figures;
    let Timeline { left_ms, killed_ms, restarted_ms, notified_ms, resent_ms, .. } = timeline;
    let mut parts = Vec::new();
    let mut say = |at: &Option<u64>, what: &str| {
        parts.extend(at.map(|at| format!("{what} {}", time(at))));
    };
    say(answer_ms, "answered after");
    say(left_ms, "the person left after");
    say(killed_ms, "killed after");
    say(restarted_ms, "ran again after");
    match done_ms {
        Some(at) => parts.push(format!("all {items} items done after {}", time(*at))),
        None => parts.push(format!("{missing} of {items} items never done by themselves")),
    }
    match (notice, notified_ms) {
        (Notice::Notification, Some(at)) => parts.push(format!("notified after {}", time(*at))),
        (Notice::None, _) => parts.push("nobody told".into()),
        _ => {}
    }
    parts.extend(resent_ms.map(|at| format!("sent again after {}", time(at))));
    parts.join(", ") + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::comparison::{Scenario, Way};

    fn figures(timeline: Timeline) -> Figures {
        Figures {
            scenario: Scenario::Killed,
            way: Way::Synchronous,
            items: 14,
            answer_ms: None,
            done_ms: None,
            over_limit: 0,
            missing: 5,
            duplicates: 0,
            notice: Notice::None,
            timeline,
        }
    }

    #[test]
    fn lane_is_said_in_words() {
        let killed = figures(Timeline {
            killed_ms: Some(9_000),
            restarted_ms: Some(9_400),
            resent_ms: Some(15_000),
            ..Timeline::default()
        });
        let words = "killed after 9.0 s, ran again after 9.4 s, 5 of 14 items never done by \
                     themselves, nobody told, sent again after 15 s.";
        assert_eq!(sentence(&killed), words);
        assert_eq!(waited_ms(&killed), Some(9_000));
        let notified = Timeline { notified_ms: Some(12_000), ..Timeline::default() };
        let done = Figures {
            answer_ms: Some(4),
            done_ms: Some(11_500),
            notice: Notice::Notification,
            ..figures(notified)
        };
        let words = "answered after 4 ms, all 14 items done after 11 s, notified after 12 s.";
        assert_eq!(sentence(&done), words);
        assert_eq!(waited_ms(&done), Some(4));
    }
}
