//! Progress and results in words. The result is Markdown, which also reads well in a terminal.

use crate::batch::CHANNEL;
use contract::comparison::{Comparison, Figures, Notice, Scenario, ScenarioProgress, Way};
use std::fmt::Write;

/// Returns what is going to happen.
#[must_use]
pub fn introduction(comparison: &Comparison) -> String {
    let Comparison { speed, products, people, .. } = comparison;
    format!(
        "Three ways to start a machine and upload {products} products to {CHANNEL}, side by side, \
         at speed {speed}.\nFour scenarios: alone, left in the middle, {people} people at once, \
         killed in the middle. This takes about {} s.",
        600 / speed.max(&1) + 20
    )
}

/// Returns how far a scenario is, as one line.
#[must_use]
pub fn progress(progress: &ScenarioProgress) -> String {
    let mut line = format!("{:>5}", seconds(progress.elapsed_ms));
    for way in &progress.ways {
        let (name, done, total) = (short_name(way.way), way.done, way.total);
        // Writing to a string can't fail.
        let _ = write!(line, " | {name}: {done} of {total}, {}", way.doing);
    }
    line
}

/// Returns the tables of the result.
#[must_use]
pub fn result(comparison: &Comparison) -> String {
    let Comparison { took_ms, speed, products, people, .. } = comparison;
    let mut text = String::new();
    for scenario in Scenario::ALL {
        let _ = writeln!(text, "{}\n", table(comparison, *scenario));
    }
    let _ = writeln!(
        text,
        "A launch is {products} products, a machine and its alarm; {people} people are {people} \
         launches. \"Lost\" is what the ledger of the services does not have when nothing more \
         happens by itself, \"duplicates\" is what it has twice at the end. Sandbox at speed \
         {speed}; measured in {}.",
        seconds(*took_ms)
    );
    text
}

/// Returns the table of one scenario.
fn table(comparison: &Comparison, scenario: Scenario) -> String {
    let columns: Vec<_> =
        Way::ALL.iter().filter_map(|way| comparison.figures_of(scenario, *way)).collect();
    let mut rows: Vec<Vec<String>> = vec![Vec::new(); 2];
    rows[0].push(scenario.name().to_owned());
    rows[1].push("---".to_owned());
    for figures in &columns {
        rows[0].push(figures.way.name().to_owned());
        rows[1].push("---".to_owned());
    }
    for measure in measures(scenario) {
        let mut row = vec![measure.name.to_owned()];
        row.extend(columns.iter().map(|figures| (measure.value)(figures)));
        rows.push(row);
    }
    let lines = rows.iter().map(|row| format!("| {} |", row.join(" | ")));
    lines.collect::<Vec<_>>().join("\n")
}

/// A row of the table.
struct Measure {
    name: &'static str,
    value: fn(&Figures) -> String,
}

/// Returns the rows that say something about a scenario.
fn measures(scenario: Scenario) -> Vec<Measure> {
    let mut measures = vec![
        Measure {
            name: "time to the answer",
            value: |it| it.answer_ms.map_or_else(|| "no answer".into(), seconds),
        },
        Measure {
            name: "time until all is done",
            value: |it| it.done_ms.map_or_else(|| "never".into(), seconds),
        },
        Measure { name: "requests over a limit", value: |it| it.over_limit.to_string() },
        Measure { name: "lost", value: |it| format!("{} of {}", it.missing, it.items) },
    ];
    if scenario == Scenario::Killed {
        let name = "duplicates after it was sent again";
        measures.push(Measure { name, value: |it| it.duplicates.to_string() });
    }
    measures.push(Measure { name: "the person is told", value: |it| notice(it.notice).to_owned() });
    measures
}

/// Returns how a person learns the outcome, in words.
#[must_use]
pub const fn notice(notice: Notice) -> &'static str {
    match notice {
        Notice::None => "nothing",
        Notice::OnRequest => "if they ask in time",
        Notice::Response => "by the answer",
        Notice::Notification => "by a notification",
    }
}

const fn short_name(way: Way) -> &'static str {
    match way {
        Way::Synchronous => "synchronous",
        Way::Asynchronous => "asynchronous",
        Way::ByEvents => "by events",
    }
}

/// Formats milliseconds, such as `4 ms`, `3.2 s` or `45 s`.
fn seconds(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::comparison::{Timeline, WayProgress};

    fn figures(scenario: Scenario, way: Way) -> Figures {
        Figures {
            scenario,
            way,
            items: 14,
            answer_ms: Some(4),
            done_ms: None,
            over_limit: 3,
            missing: 5,
            duplicates: 7,
            notice: Notice::None,
            timeline: Timeline::default(),
        }
    }

    fn comparison() -> Comparison {
        let ways =
            |scenario: &Scenario| Way::ALL.iter().map(|way| figures(*scenario, *way)).collect();
        Comparison {
            started_at: 0,
            took_ms: 98_765,
            speed: 6,
            products: 12,
            people: 4,
            figures: Scenario::ALL.iter().flat_map::<Vec<_>, _>(ways).collect(),
        }
    }

    #[test]
    fn result_has_a_table_for_each_scene() {
        let text = result(&comparison());
        for scenario in Scenario::ALL {
            assert!(text.contains(&format!("| {} | Synchronous |", scenario.name())), "{text}");
        }
        assert!(text.contains("| time to the answer | 4 ms | 4 ms | 4 ms |"), "{text}");
        assert!(text.contains("| time until all is done | never | never | never |"), "{text}");
        assert!(text.contains("| lost | 5 of 14 | 5 of 14 | 5 of 14 |"), "{text}");
        assert_eq!(text.matches("duplicates after").count(), 1, "{text}");
        assert!(text.contains("measured in 98 s"), "{text}");
    }

    #[test]
    fn progress_is_one_line() {
        let way = |way: &Way| WayProgress {
            way: *way,
            doing: "works".into(),
            done: 3,
            total: 14,
            over_limit: 0,
        };
        let line = progress(&ScenarioProgress {
            scenario: Scenario::Alone,
            elapsed_ms: 12_345,
            ways: Way::ALL.iter().map(way).collect(),
        });
        let expected = " 12 s | synchronous: 3 of 14, works | asynchronous: 3 of 14, works | by \
                        events: 3 of 14, works";
        assert_eq!(line, expected);
    }
}
