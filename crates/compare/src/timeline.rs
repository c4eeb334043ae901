//! Timelines as text: a lane of characters for each way, and the same as a sentence.

use crate::report::short_name;
use contract::comparison::{Figures, Timeline};
use std::fmt::Write;

/// Columns of the longest lane.
const WIDTH: u64 = 72;
/// What the characters of a lane mean.
pub const LEGEND: &str = "`=` is the person who waits for the answer, `o` an item that is done, \
                          `A` the answer, `L` the person leaves, `K` the server is killed, `R` it \
                          runs again, `N` the notification, and `S` the person sends the batch \
                          again";

/// Returns a lane and a sentence for each of `figures`, which are those of one scenario, all with
/// the same scale.
#[must_use]
pub fn lanes(figures: &[&Figures]) -> String {
    let end = figures.iter().map(|figures| figures.timeline.end_ms).max().unwrap_or(1).max(1);
    let mut text = String::new();
    for figures in figures {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{:<13}|{}|", short_name(figures.way), lane(figures, end));
        let _ = writeln!(text, "{:<13} {}", "", figures.sentence());
    }
    text
}

fn lane(figures: &Figures, end: u64) -> String {
    let Timeline { effects_ms, left_ms, killed_ms, restarted_ms, notified_ms, resent_ms, end_ms } =
        &figures.timeline;
    let column = |ms: u64| usize::try_from(ms.min(end) * (WIDTH - 1) / end).unwrap_or(usize::MAX);
    let (last, waited) = (column(*end_ms), column(figures.waited_ms()));
    let mut lane: Vec<char> = (0..=column(end))
        .map(|at| match at {
            at if at > last => ' ',
            at if at < waited => '=',
            _ => '-',
        })
        .collect();
    for at in effects_ms {
        set(&mut lane, column(*at), 'o');
    }
    let moments = [
        (&figures.answer_ms, 'A'),
        (left_ms, 'L'),
        (killed_ms, 'K'),
        (restarted_ms, 'R'),
        (notified_ms, 'N'),
        (resent_ms, 'S'),
    ];
    for (at, letter) in moments {
        let Some(at) = at else { continue };
        // Moments of the same column stand beside each other.
        let free = (column(*at)..lane.len()).find(|column| !is_letter(&lane, *column));
        let free = free.or_else(|| (0..lane.len()).rfind(|column| !is_letter(&lane, *column)));
        set(&mut lane, free.unwrap_or_default(), letter);
    }
    lane.into_iter().collect()
}

fn is_letter(lane: &[char], column: usize) -> bool {
    lane.get(column).is_some_and(char::is_ascii_uppercase)
}

fn set(lane: &mut [char], column: usize, character: char) {
    if let Some(cell) = lane.get_mut(column) {
        *cell = character;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::comparison::{Notice, Scenario, Way};

    #[test]
    fn moments_and_effects_stand_where_they_happened() {
        let killed = Figures {
            scenario: Scenario::Killed,
            way: Way::Synchronous,
            items: 4,
            answer_ms: None,
            done_ms: None,
            over_limit: 0,
            lost: 2,
            duplicates: 2,
            notice: Notice::None,
            timeline: Timeline {
                effects_ms: vec![1_000, 2_000, 6_000],
                killed_ms: Some(3_000),
                restarted_ms: Some(3_010),
                resent_ms: Some(5_000),
                end_ms: 7_100,
                ..Timeline::default()
            },
        };
        let notified = Figures {
            way: Way::ByEvents,
            answer_ms: Some(0),
            notice: Notice::Notification,
            timeline: Timeline {
                effects_ms: vec![1_000],
                notified_ms: Some(1_000),
                end_ms: 1_000,
                ..Timeline::default()
            },
            ..killed.clone()
        };
        let lines = lanes(&[&killed, &notified]);
        let lines: Vec<_> = lines.lines().collect();
        let lane = format!(
            "synchronous  |{}o{}o{}KR{}S{}o{}|",
            "=".repeat(10),
            "=".repeat(9),
            "=".repeat(9),
            "-".repeat(18),
            "-".repeat(9),
            "-".repeat(11),
        );
        assert_eq!(lines[0], lane);
        assert!(lines[1].ends_with(" sent again after 5.0 s."), "{}", lines[1]);
        assert_eq!(lines[2], format!("by events    |A{}N{}|", "-".repeat(9), " ".repeat(61)));
        assert_eq!(lines.len(), 4);
    }
}
