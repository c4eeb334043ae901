//! Attempts to break into a running server, or to deny its service to others.
//! Every attempt has a server of its own on the loopback interface, and is
//! bounded in time and in what it sends.
//!
//! | module | content |
//! | --- | --- |
//! | [`attempt`] | what an attempt is, what it is given and what it reports |
//! | [`connection`] | raw connections, from a chosen loopback address |
//! | [`honest`] | a client that measures how long it waits for its answers |
//! | the others | one attempt each |
//!
//! To add an attempt: write one file with a constant `ATTEMPT`, and name it in
//! the list of modules and in [`ATTEMPTS`].

mod attempt;
mod bad_requests;
mod connection;
mod four_addresses;
mod honest;
mod hostile_names;
mod hostile_texts;
mod unread_assets;
mod unread_downloads;
mod wrong_sign_ins;

use crate::{machine::Machine, report::Report};
use anyhow::ensure;
use attempt::{Attempt, Setting};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Every attempt, in the order in which they run.
const ATTEMPTS: &[Attempt] = &[
    bad_requests::ATTEMPT,
    hostile_names::ATTEMPT,
    hostile_texts::ATTEMPT,
    four_addresses::ATTEMPT,
    unread_downloads::ATTEMPT,
    unread_assets::ATTEMPT,
    wrong_sign_ins::ATTEMPT,
];

/// Longest time that one attempt may take. An attempt that takes longer has
/// failed.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub struct Siege {
    /// Smaller numbers and shorter waits: the whole suite in well under a
    /// minute.
    #[arg(long)]
    quick: bool,
    /// Runs some attempts only, by name; `--list` shows the names.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Prints the names of all attempts and what the server has to do.
    #[arg(long)]
    list: bool,
}

impl Siege {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { quick, only, list } = self;
        if list {
            for attempt in ATTEMPTS {
                println!("{:<28}{}", attempt.name, attempt.required);
            }
            return Ok(Report::new("", Machine::of(Path::new("/"))));
        }
        for name in &only {
            ensure!(
                ATTEMPTS.iter().any(|attempt| attempt.name == name),
                "There is no attempt {name:?}. `bench siege --list` shows all of them."
            );
        }
        let form = if quick { "quick form" } else { "full form" };
        let title = format!("siege: attempts to break in or to deny service, {form}");
        let mut report = Report::new(title, Machine::of(&std::env::temp_dir()));
        let setting = Setting::new(binary, quick)?;
        let chosen =
            |attempt: &&Attempt| only.is_empty() || only.iter().any(|name| name == attempt.name);
        for attempt in ATTEMPTS.iter().filter(chosen) {
            let start = Instant::now();
            let run = tokio::time::timeout(LIMIT, (attempt.run)(&setting)).await;
            let outcome = match run {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => attempt::Outcome::stopped(&format!("{error:#}")),
                Err(_) => attempt::Outcome::stopped(&format!("it did not end within {LIMIT:?}")),
            };
            let took = start.elapsed().as_secs_f64();
            let word = if outcome.held() { "held" } else { "BROKEN" };
            eprintln!("{:<28}{took:>6.1} s  {word}", attempt.name);
            outcome.tell(attempt, &mut report);
        }
        Ok(report)
    }
}
