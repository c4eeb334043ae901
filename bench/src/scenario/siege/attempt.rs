//! What an attempt is, what it is given, and what it reports.

use crate::{
    process::{Meanwhile, Outside},
    report::Report,
};
use futures_util::future::BoxFuture;
use std::path::{Path, PathBuf};

/// One attempt to break in or to deny service.
pub struct Attempt {
    /// Name on the command line and in the report, such as `unread-assets`.
    pub name: &'static str,
    /// What the server has to do, as a whole sentence.
    pub required: &'static str,
    /// Makes the attempt. An error means that it could not be made to its end,
    /// which counts as broken.
    pub run: for<'a> fn(&'a Setting) -> BoxFuture<'a, anyhow::Result<Outcome>>,
}

/// What every attempt is given.
pub struct Setting {
    binary: PathBuf,
    /// Whether the attempt should be small enough to end within a few seconds.
    pub quick: bool,
}

impl Setting {
    pub fn new(binary: &Path, quick: bool) -> anyhow::Result<Self> {
        Ok(Self { binary: std::path::absolute(binary)?, quick })
    }

    /// Returns `full`, or `quick` in the quick form.
    pub fn choose<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Starts a server with an empty data folder, and signs in to it as its
    /// administrator. It ends with the returned value.
    pub async fn start(&self) -> anyhow::Result<Meanwhile> {
        self.start_with(&[]).await
    }

    /// Starts a server as [`Setting::start`] does, with further environment
    /// variables, such as `MEANWHILE_DATABASE` for one on PostgreSQL.
    pub async fn start_with(
        &self,
        variables: &[(&'static str, String)],
    ) -> anyhow::Result<Meanwhile> {
        Meanwhile::start_with(&self.binary, Outside::calm(20.0), variables, &[]).await
    }

    /// Starts a server that may have at most `files` files and connections
    /// open, as the kernel limits them.
    pub async fn start_with_files(&self, files: usize) -> anyhow::Result<Meanwhile> {
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        let through = ["sh".to_owned(), "-c".to_owned(), script];
        Meanwhile::start_with(&self.binary, Outside::calm(20.0), &[], &through).await
    }
}

/// What an attempt found.
#[derive(Default)]
pub struct Outcome {
    checks: Vec<(bool, String)>,
    figures: Vec<(String, String)>,
}

impl Outcome {
    /// The outcome of an attempt that could not be made to its end.
    pub fn stopped(why: &str) -> Self {
        let mut outcome = Self::default();
        outcome.require(false, format!("the attempt did not come to its end: {why}"));
        outcome
    }

    /// Records something that must hold, with the figures that were found.
    pub fn require(&mut self, held: bool, detail: impl Into<String>) {
        self.checks.push((held, detail.into()));
    }

    /// Records a measurement that is not judged.
    pub fn figure(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.figures.push((what.into(), value.into()));
    }

    /// Returns whether everything held that must.
    pub fn held(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|(held, _)| *held)
    }

    /// Adds what was found to `report`.
    pub fn tell(self, attempt: &Attempt, report: &mut Report) {
        if self.checks.is_empty() {
            report.check(attempt.name, false, "the attempt checked nothing");
        }
        for (held, detail) in self.checks {
            report.check(attempt.name, held, detail);
        }
        for (what, value) in self.figures {
            report.figure(format!("{}: {what}", attempt.name), value, None);
        }
    }
}
