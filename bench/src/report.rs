//! The table that a scenario prints.

use crate::machine::Machine;
use std::{fmt, time::Duration};

/// Times of the same thing, measured again and again.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that `percent` of them don't exceed (nearest
    /// rank); zero without samples.
    pub fn at(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

/// The largest time that a percentile may have.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    pub percent: usize,
    pub most: Duration,
}

enum Line {
    Times { what: String, samples: Samples, bars: Vec<Bar> },
    Figure { what: String, value: String, bar: Option<(String, bool)> },
    Check { what: String, held: bool, detail: String },
    Note(String),
}

/// What a scenario found.
pub struct Report {
    title: String,
    machine: Machine,
    lines: Vec<Line>,
}

impl Report {
    pub fn new(title: impl Into<String>, machine: Machine) -> Self {
        Self { title: title.into(), machine, lines: Vec::new() }
    }

    pub fn times(&mut self, what: impl Into<String>, samples: Samples, bars: &[Bar]) {
        self.lines.push(Line::Times { what: what.into(), samples, bars: bars.to_vec() });
    }

    /// `bar`: in words, and whether it is kept.
    pub fn figure(
        &mut self,
        what: impl Into<String>,
        value: impl Into<String>,
        bar: Option<(&str, bool)>,
    ) {
        let bar = bar.map(|(words, kept)| (words.to_owned(), kept));
        self.lines.push(Line::Figure { what: what.into(), value: value.into(), bar });
    }

    /// Something that must hold; `detail` says what was found.
    pub fn check(&mut self, what: impl Into<String>, held: bool, detail: impl Into<String>) {
        self.lines.push(Line::Check { what: what.into(), held, detail: detail.into() });
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// What was measured, and on what.
    pub fn head(&self) -> String {
        format!("{}\n\n{}", self.title, self.machine)
    }

    /// What did not hold, in words.
    pub fn broken(&self) -> impl Iterator<Item = String> {
        self.lines.iter().filter_map(|line| match line {
            Line::Check { what, held: false, detail } => Some(format!("{what}: {detail}")),
            _ => None,
        })
    }

    /// What was measured besides, in words.
    pub fn figures(&self) -> impl Iterator<Item = String> {
        self.lines.iter().filter_map(|line| match line {
            Line::Figure { what, value, .. } => Some(format!("{what}: {value}")),
            _ => None,
        })
    }

    /// Whether everything held that must.
    pub fn held(&self) -> bool {
        self.lines.iter().all(|line| !matches!(line, Line::Check { held: false, .. }))
    }
}

/// As people read it: 0.85 ms, 12.3 ms, 96.6 s.
pub fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..1_000.0 => format!("{ms:.1} ms"),
        _ => format!("{:.1} s", ms / 1e3),
    }
}

fn kept(kept: bool) -> &'static str {
    if kept { "pass" } else { "MISSED" }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n{}\n", self.title, self.machine)?;
        let timed = |line: &Line| matches!(line, Line::Times { .. });
        if self.lines.iter().any(timed) {
            let [p50, p95, p99, max] = ["p50", "p95", "p99", "max"];
            writeln!(f, "{:<44}{p50:>10}{p95:>10}{p99:>10}{max:>10}  bar", "")?;
        }
        for line in &self.lines {
            match line {
                Line::Times { what, samples, bars } => {
                    let what = format!("{what} ({})", samples.len());
                    let [p50, p95, p99, max] = [50, 95, 99, 100].map(|p| time(samples.at(p)));
                    write!(f, "{what:<44}{p50:>10}{p95:>10}{p99:>10}{max:>10}")?;
                    for Bar { percent, most } in bars {
                        let pass = kept(samples.at(*percent) <= *most);
                        write!(f, "  p{percent} ≤ {}: {pass}", time(*most))?;
                    }
                    writeln!(f)?;
                }
                Line::Figure { what, value, bar } => {
                    write!(f, "{what:<44}{value}")?;
                    if let Some((words, pass)) = bar {
                        write!(f, "  {words}: {}", kept(*pass))?;
                    }
                    writeln!(f)?;
                }
                Line::Check { what, held, detail } => {
                    let word = if *held { "holds" } else { "BROKEN" };
                    writeln!(f, "{what:<44}{word}: {detail}")?;
                }
                Line::Note(text) => writeln!(f, "{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let mut samples = Samples::default();
        for ms in (1..=200).rev() {
            samples.add(Duration::from_millis(ms));
        }
        let ms = |percent| samples.at(percent).as_millis();
        assert_eq!([ms(1), ms(50), ms(95), ms(99), ms(100)], [2, 100, 190, 198, 200]);
        assert_eq!(Samples::default().at(95), Duration::ZERO);
    }
}
