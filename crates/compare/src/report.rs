//! Progress and results in words. The result is Markdown, which also reads well in a terminal.

use crate::{batch::CHANNEL, timeline, timing};
use contract::comparison::{
    Comparison, Figures, Scenario, ScenarioProgress, Way,
    measures::{Measure, duration},
};
use std::fmt::Write;

/// Returns what is going to happen.
#[must_use]
pub fn introduction(comparison: &Comparison) -> String {
    let Comparison { speed, products, people, .. } = comparison;
    format!(
        "Three ways to start a machine and upload {products} products to {CHANNEL}, side by side, \
         at speed {speed}.\nFour scenarios: alone, left in the middle, {people} people at once, \
         killed in the middle. This takes about {} s.",
        timing::estimate(*speed, *products).as_secs()
    )
}

/// Returns how far a scenario is, as one line.
#[must_use]
pub fn progress(progress: &ScenarioProgress) -> String {
    let mut line = format!("{:>5}", duration(progress.elapsed_ms));
    for way in &progress.ways {
        let (name, done, total) = (short_name(way.way), way.done, way.total);
        // Writing to a string can't fail.
        let _ = write!(line, " | {name}: {done} of {total}, {}", way.doing);
    }
    line
}

/// Returns the tables and the timelines of the result.
#[must_use]
pub fn result(comparison: &Comparison) -> String {
    let Comparison { took_ms, speed, products, people, .. } = comparison;
    let mut text = String::new();
    for scenario in Scenario::ALL {
        let figures: Vec<_> =
            Way::ALL.iter().filter_map(|way| comparison.figures_of(*scenario, *way)).collect();
        let (table, lanes) = (table(*scenario, &figures), timeline::lanes(&figures));
        let _ = writeln!(text, "{table}\n\n```text\n{lanes}```\n");
    }
    let _ = writeln!(
        text,
        "A launch is {products} products, a machine and its alarm; {people} people are {people} \
         launches. \"Lost\" is what the ledger of the services does not have when nothing more \
         happens by itself, a duplicate is what it has twice at the end. In a timeline, {}. \
         Sandbox at speed {speed}; measured in {}.",
        timeline::LEGEND,
        duration(*took_ms)
    );
    text
}

/// Returns the table of one scenario.
fn table(scenario: Scenario, figures: &[&Figures]) -> String {
    let line = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!(" {cell} |")).collect();
        format!("| {first} |{cells}\n")
    };
    let mut table = line(scenario.name(), &mut figures.iter().map(|it| it.way.name().to_owned()));
    table += &line("---", &mut figures.iter().map(|_| "---".to_owned()));
    for row in Measure::rows(scenario) {
        table += &line(row.name, &mut figures.iter().map(|figures| (row.format)(figures).0));
    }
    table.trim_end().to_owned()
}

/// Returns the name of a way where there is little room.
pub(crate) const fn short_name(way: Way) -> &'static str {
    match way {
        Way::Synchronous => "synchronous",
        Way::Asynchronous => "asynchronous",
        Way::ByEvents => "by events",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::comparison::{Notice, Timeline, WayProgress};

    fn figures(scenario: Scenario, way: Way) -> Figures {
        Figures {
            scenario,
            way,
            items: 14,
            answer_ms: Some(4),
            done_ms: None,
            over_limit: 3,
            lost: 5,
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
    fn result_has_a_table_for_each_scenario() {
        let text = result(&comparison());
        for scenario in Scenario::ALL {
            assert!(text.contains(&format!("| {} | Synchronous |", scenario.name())), "{text}");
        }
        assert!(text.contains("| Time to the answer | 4 ms | 4 ms | 4 ms |"), "{text}");
        assert!(text.contains("| Time until all is done | never | never | never |"), "{text}");
        assert!(text.contains("| Lost | 5 of 14 | 5 of 14 | 5 of 14 |"), "{text}");
        assert_eq!(text.matches("| Duplicates after").count(), 1, "{text}");
        assert!(text.contains("measured in 98 s"), "{text}");
    }

    #[test]
    fn introduction_estimates_the_time_by_speed_and_products() {
        let text = introduction(&comparison());
        assert!(text.ends_with(" This takes about 123 s."), "{text}");
        let text = introduction(&Comparison { speed: 1, products: 40, ..comparison() });
        assert!(text.ends_with(" This takes about 1760 s."), "{text}");
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
