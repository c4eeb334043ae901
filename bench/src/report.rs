//! The table that a scenario prints.

use crate::host::HostInfo;
use std::{fmt, time::Duration};

/// Repeated measurements of the same duration.
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

    /// Returns a percentile by nearest rank: the smallest sample that
    /// `percentile` percent of the samples don't exceed. Zero without samples.
    pub fn percentile(&self, percentile: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percentile).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

/// The largest duration that a percentile may have.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    pub percentile: usize,
    pub limit: Duration,
}

enum Line {
    Timings { what: String, samples: Samples, thresholds: Vec<Threshold> },
    Figure { what: String, value: String, threshold: Option<(String, bool)> },
    Check { what: String, passed: bool, detail: String },
    Note(String),
}

/// The measurements and checks of a scenario.
pub struct Report {
    title: String,
    host: HostInfo,
    lines: Vec<Line>,
}

impl Report {
    pub fn new(title: impl Into<String>, host: HostInfo) -> Self {
        Self { title: title.into(), host, lines: Vec::new() }
    }

    pub fn add_timings(
        &mut self,
        what: impl Into<String>,
        samples: Samples,
        thresholds: &[Threshold],
    ) {
        self.lines.push(Line::Timings {
            what: what.into(),
            samples,
            thresholds: thresholds.to_vec(),
        });
    }

    /// Adds a figure. `threshold` is its text and whether it was met.
    pub fn add_figure(
        &mut self,
        what: impl Into<String>,
        value: impl Into<String>,
        threshold: Option<(&str, bool)>,
    ) {
        let threshold = threshold.map(|(text, met)| (text.to_owned(), met));
        self.lines.push(Line::Figure { what: what.into(), value: value.into(), threshold });
    }

    /// Adds a correctness check; `detail` says what was found.
    pub fn add_check(&mut self, what: impl Into<String>, passed: bool, detail: impl Into<String>) {
        self.lines.push(Line::Check { what: what.into(), passed, detail: detail.into() });
    }

    pub fn add_note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// Returns the title and the host.
    pub fn header(&self) -> String {
        format!("{}\n\n{}", self.title, self.host)
    }

    /// Returns a text for each failed check.
    pub fn failed_checks(&self) -> impl Iterator<Item = String> {
        self.lines.iter().filter_map(|line| match line {
            Line::Check { what, passed: false, detail } => Some(format!("{what}: {detail}")),
            _ => None,
        })
    }

    /// Returns a text for each figure.
    pub fn figures(&self) -> impl Iterator<Item = String> {
        self.lines.iter().filter_map(|line| match line {
            Line::Figure { what, value, .. } => Some(format!("{what}: {value}")),
            _ => None,
        })
    }

    /// Returns whether all checks passed.
    pub fn all_checks_passed(&self) -> bool {
        self.lines.iter().all(|line| !matches!(line, Line::Check { passed: false, .. }))
    }
}

/// Formats a duration, such as `0.85 ms`, `12.3 ms` or `96.6 s`.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..1_000.0 => format!("{ms:.1} ms"),
        _ => format!("{:.1} s", ms / 1e3),
    }
}

fn ok_or_missed(met: bool) -> &'static str {
    if met { "ok" } else { "missed" }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n{}\n", self.title, self.host)?;
        let timed = |line: &Line| matches!(line, Line::Timings { .. });
        if self.lines.iter().any(timed) {
            let [p50, p95, p99, max] = ["p50", "p95", "p99", "max"];
            writeln!(f, "{:<44}{p50:>10}{p95:>10}{p99:>10}{max:>10}  threshold", "")?;
        }
        for line in &self.lines {
            match line {
                Line::Timings { what, samples, thresholds } => {
                    let what = format!("{what} ({})", samples.len());
                    let [p50, p95, p99, max] =
                        [50, 95, 99, 100].map(|p| format_duration(samples.percentile(p)));
                    write!(f, "{what:<44}{p50:>10}{p95:>10}{p99:>10}{max:>10}")?;
                    for Threshold { percentile, limit } in thresholds {
                        let verdict = ok_or_missed(samples.percentile(*percentile) <= *limit);
                        write!(f, "  p{percentile} ≤ {}: {verdict}", format_duration(*limit))?;
                    }
                    writeln!(f)?;
                }
                Line::Figure { what, value, threshold } => {
                    write!(f, "{what:<43} {value}")?;
                    if let Some((text, met)) = threshold {
                        write!(f, "  {text}: {}", ok_or_missed(*met))?;
                    }
                    writeln!(f)?;
                }
                Line::Check { what, passed, detail } => {
                    let word = if *passed { "passed" } else { "FAILED" };
                    writeln!(f, "{what:<43} {word}: {detail}")?;
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
        let ms = |percentile| samples.percentile(percentile).as_millis();
        assert_eq!([ms(1), ms(50), ms(95), ms(99), ms(100)], [2, 100, 190, 198, 200]);
        assert_eq!(Samples::default().percentile(95), Duration::ZERO);
    }
}
