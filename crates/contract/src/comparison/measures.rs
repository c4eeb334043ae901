//! The comparison in words: the rows of its tables, and the sentence below each timeline. The
//! command, the page and the documents have them from here, so that they say the same.

use super::{Figures, Notice, Scenario, Timeline};

/// Whether a value speaks for a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It depends on what is needed.
    Neutral,
    /// Nothing is lost, refused or unknown.
    Good,
    /// It is good under a condition.
    Conditional,
    /// Something is lost, refused or unknown.
    Bad,
}

/// A row of the table of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in the page's markup.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Formats what was measured, with a verdict.
    pub format: fn(&Figures) -> (String, Verdict),
}

const MEASURES: &[Measure] = &[
    Measure {
        id: "answer",
        name: "Time to the answer",
        format: |figures| match figures.answer_ms {
            Some(ms) => (duration(ms), Verdict::Neutral),
            None => ("no answer".into(), Verdict::Bad),
        },
    },
    Measure {
        id: "done",
        name: "Time until all is done",
        format: |figures| match figures.done_ms {
            Some(ms) => (duration(ms), Verdict::Neutral),
            None => ("never".into(), Verdict::Bad),
        },
    },
    Measure {
        id: "over-limit",
        name: "Requests over a limit (429)",
        format: |figures| (figures.over_limit.to_string(), good_if(figures.over_limit == 0)),
    },
    Measure {
        id: "lost",
        name: "Lost",
        format: |figures| {
            (format!("{} of {}", figures.lost, figures.items), good_if(figures.lost == 0))
        },
    },
    DUPLICATES,
    Measure {
        id: "notice",
        name: "The person is told",
        format: |figures| match figures.notice {
            Notice::None => ("nothing".into(), Verdict::Bad),
            Notice::OnRequest => ("if they ask in time".into(), Verdict::Conditional),
            Notice::Response => ("by the answer".into(), Verdict::Good),
            Notice::Notification => ("by a notification".into(), Verdict::Good),
        },
    },
];

const DUPLICATES: Measure = Measure {
    id: "duplicates",
    name: "Duplicates after it was sent again",
    format: |figures| (figures.duplicates.to_string(), good_if(figures.duplicates == 0)),
};

const fn good_if(is_good: bool) -> Verdict {
    if is_good { Verdict::Good } else { Verdict::Bad }
}

impl Measure {
    /// Returns the rows of the table of a scenario. Only in [`Scenario::Killed`] the batch is
    /// sent again.
    pub fn rows(scenario: Scenario) -> impl Iterator<Item = &'static Self> {
        let is_shown = move |row: &&Self| row.id != DUPLICATES.id || scenario == Scenario::Killed;
        MEASURES.iter().filter(is_shown)
    }
}

impl Figures {
    /// Returns the timeline as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { items, lost, answer_ms, done_ms, notice, timeline, .. } = self;
        let Timeline { left_ms, killed_ms, restarted_ms, notified_ms, resent_ms, .. } = timeline;
        let mut parts = Vec::new();
        let mut add = |at: &Option<u64>, what: &str| {
            parts.extend(at.map(|at| format!("{what} {}", duration(at))));
        };
        add(answer_ms, "answered after");
        add(left_ms, "the person left after");
        add(killed_ms, "killed after");
        add(restarted_ms, "ran again after");
        match done_ms {
            Some(at) => parts.push(format!("all {items} items done after {}", duration(*at))),
            None => parts.push(format!("{lost} of {items} items lost")),
        }
        match (notice, notified_ms) {
            (Notice::Notification, Some(at)) => {
                parts.push(format!("notified after {}", duration(*at)));
            }
            (Notice::None, _) => parts.push("nobody told".into()),
            _ => {}
        }
        parts.extend(resent_ms.map(|at| format!("sent again after {}", duration(at))));
        parts.join(", ") + "."
    }

    /// Returns how long the person waited for the answer: until it came, until they left, or
    /// until the server died.
    #[must_use]
    pub fn waited_ms(&self) -> u64 {
        let Timeline { left_ms, killed_ms, end_ms, .. } = self.timeline;
        self.answer_ms.or(left_ms).or(killed_ms).unwrap_or(end_ms)
    }
}

/// Formats milliseconds, such as `4 ms`, `3.2 s` or `45 s`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Way;

    fn killed() -> Figures {
        Figures {
            scenario: Scenario::Killed,
            way: Way::Synchronous,
            items: 14,
            answer_ms: None,
            done_ms: None,
            over_limit: 0,
            lost: 5,
            duplicates: 3,
            notice: Notice::None,
            timeline: Timeline {
                killed_ms: Some(9_000),
                restarted_ms: Some(9_400),
                resent_ms: Some(15_000),
                end_ms: 30_000,
                ..Timeline::default()
            },
        }
    }

    fn undisturbed() -> Figures {
        Figures {
            scenario: Scenario::Alone,
            answer_ms: Some(4),
            done_ms: Some(11_500),
            lost: 0,
            duplicates: 0,
            notice: Notice::Notification,
            timeline: Timeline { notified_ms: Some(12_000), ..Timeline::default() },
            ..killed()
        }
    }

    #[test]
    fn timeline_is_a_sentence() {
        let sentence = "killed after 9.0 s, ran again after 9.4 s, 5 of 14 items lost, nobody told, \
                        sent again after 15 s.";
        assert_eq!(killed().sentence(), sentence);
        assert_eq!(killed().waited_ms(), 9_000);
        let sentence = "answered after 4 ms, all 14 items done after 11 s, notified after 12 s.";
        assert_eq!(undisturbed().sentence(), sentence);
        assert_eq!(undisturbed().waited_ms(), 4);
    }

    #[test]
    fn verdicts_follow_the_figures() {
        let values = |figures: &Figures| {
            let values = Measure::rows(figures.scenario).map(|row| (row.format)(figures));
            values.collect::<Vec<_>>()
        };
        let expected = [
            ("no answer", Verdict::Bad),
            ("never", Verdict::Bad),
            ("0", Verdict::Good),
            ("5 of 14", Verdict::Bad),
            ("3", Verdict::Bad),
            ("nothing", Verdict::Bad),
        ];
        assert_eq!(values(&killed()), expected.map(|(text, verdict)| (text.to_owned(), verdict)));
        let expected = [
            ("4 ms", Verdict::Neutral),
            ("11 s", Verdict::Neutral),
            ("0", Verdict::Good),
            ("0 of 14", Verdict::Good),
            ("by a notification", Verdict::Good),
        ];
        let expected = expected.map(|(text, verdict)| (text.to_owned(), verdict));
        assert_eq!(values(&undisturbed()), expected);
    }
}
