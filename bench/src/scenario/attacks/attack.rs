//! An attack, its context and its result.

use crate::report::Report;
use futures_util::future::BoxFuture;
use std::path::{Path, PathBuf};
use testbed::{SandboxConfig, ServerProcess};

/// An attempt to break in or to deny service.
pub struct Attack {
    /// Name on the command line and in the report, such as `unread-assets`.
    pub name: &'static str,
    /// Required behaviour of the server, as a whole sentence.
    pub requirement: &'static str,
    /// Runs the attack. An error means that it did not complete, which counts as a
    /// failed check.
    pub run: for<'a> fn(&'a AttackContext) -> BoxFuture<'a, anyhow::Result<AttackResult>>,
}

/// Context of every attack.
pub struct AttackContext {
    binary: PathBuf,
    /// Whether the attack should be small enough to end within a few seconds.
    pub quick: bool,
}

impl AttackContext {
    pub fn new(binary: &Path, quick: bool) -> anyhow::Result<Self> {
        Ok(Self { binary: std::path::absolute(binary)?, quick })
    }

    /// Returns `full`, or `quick` in the quick form.
    pub fn full_or_quick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Starts a server with an empty data folder, and signs in to it as its
    /// administrator. Dropping the returned value ends it.
    pub async fn start(&self) -> anyhow::Result<ServerProcess> {
        self.start_with_env(&[]).await
    }

    /// Starts a server as [`AttackContext::start`] does, with further environment
    /// variables, such as `MEANWHILE_DATABASE` for one on PostgreSQL.
    pub async fn start_with_env(
        &self,
        env: &[(&'static str, String)],
    ) -> anyhow::Result<ServerProcess> {
        ServerProcess::start_with(&self.binary, SandboxConfig::without_faults(20.0), env, &[]).await
    }

    /// Starts a server that may have at most `files` files and connections
    /// open, as the kernel limits them.
    pub async fn start_with_open_file_limit(&self, files: usize) -> anyhow::Result<ServerProcess> {
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        let wrapper = ["sh".to_owned(), "-c".to_owned(), script];
        ServerProcess::start_with(&self.binary, SandboxConfig::without_faults(20.0), &[], &wrapper)
            .await
    }
}

/// The checks and figures of an attack.
#[derive(Default)]
pub struct AttackResult {
    checks: Vec<(bool, String)>,
    figures: Vec<(String, String)>,
}

impl AttackResult {
    /// Returns the result of an attack that did not complete.
    pub fn aborted(why: &str) -> Self {
        let mut outcome = Self::default();
        outcome.require(false, format!("the attack did not complete: {why}"));
        outcome
    }

    /// Adds a check, with the figures that were found.
    pub fn require(&mut self, passed: bool, detail: impl Into<String>) {
        self.checks.push((passed, detail.into()));
    }

    /// Adds a measurement without a threshold.
    pub fn add_figure(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.figures.push((what.into(), value.into()));
    }

    /// Returns whether there are checks and all of them passed.
    pub fn all_checks_passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|(passed, _)| *passed)
    }

    /// Adds the checks and figures to `report`.
    pub fn add_to_report(self, attack: &Attack, report: &mut Report) {
        if self.checks.is_empty() {
            report.add_check(attack.name, false, "the attack checked nothing");
        }
        for (passed, detail) in self.checks {
            report.add_check(attack.name, passed, detail);
        }
        for (what, value) in self.figures {
            report.add_figure(format!("{}: {what}", attack.name), value, None);
        }
    }
}
