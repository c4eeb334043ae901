//! How far a job is: a bar on a terminal, lines elsewhere, nothing beside JSON.

use crate::{
    error::Error,
    output::{print_line, print_note},
    words,
};
use contract::{JobId, api::Job, state::Counts};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal, stdout},
    time::{Duration, Instant},
};

/// Minimum time between two lines about the counters.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Shows how far a job is.
pub enum Progress {
    /// JSON is printed instead; notes go to stderr.
    Silent,
    /// A line where something changed.
    Lines {
        /// Counters in the last line.
        last: Option<Counts>,
        /// Time of the last line.
        at: Option<Instant>,
    },
    /// A bar that moves.
    Bar(ProgressBar),
}

impl Progress {
    /// Returns the kind of progress that fits stdout.
    pub fn new(as_json: bool) -> Self {
        if as_json {
            return Self::Silent;
        }
        if !stdout().is_terminal() {
            return Self::Lines { last: None, at: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len}  {wide_msg}");
        Self::Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// Shows the job that is watched, once.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub fn begin(&mut self, job: &Job) -> Result<(), Error> {
        let id: JobId = job.id;
        self.line(&format!("Job {id}: {}, {}.", job.title, words::count(job.counts.total, "item")))
    }

    /// Shows the counters, and the remaining time if it is known.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub fn update(&mut self, job: &Job) -> Result<(), Error> {
        let counts = &job.counts;
        match self {
            Self::Silent => Ok(()),
            Self::Lines { last, at } => {
                let is_early = at.is_some_and(|at| at.elapsed() < LINE_INTERVAL);
                if is_early || *last == Some(*counts) {
                    return Ok(());
                }
                (*last, *at) = (Some(*counts), Some(Instant::now()));
                print_line(&status(job))
            }
            Self::Bar(bar) => {
                bar.set_length(counts.total.into());
                bar.set_position(counts.finished().into());
                let mut message = words::counts(counts);
                if job.paused {
                    message.push_str(", paused");
                }
                if let Some(ms) = job.eta_ms {
                    message = format!("{message}, {}", words::remaining(ms));
                }
                bar.set_message(message);
                Ok(())
            }
        }
    }

    /// Prints a line above the bar, or among the others.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        match self {
            Self::Silent => Ok(()),
            Self::Lines { .. } => print_line(line),
            Self::Bar(bar) => bar.suspend(|| print_line(line)),
        }
    }

    /// Prints a note on stderr, which is not part of the result.
    pub fn note(&self, note: &str) {
        match self {
            Self::Silent | Self::Lines { .. } => print_note(note),
            Self::Bar(bar) => bar.suspend(|| print_note(note)),
        }
    }

    /// Removes the bar.
    pub fn end(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Returns how far a job is, in a line.
fn status(job: &Job) -> String {
    let counts = &job.counts;
    format!("{} of {}: {}", counts.finished(), counts.total, words::counts(counts))
}
