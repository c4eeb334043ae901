//! Attempts to break into a running server, or to deny its service to others.
//! Each attack has its own server on the loopback interface, and is bounded in
//! time and in what it sends.
//!
//! | module | content |
//! | --- | --- |
//! | [`attack`] | an attack, its context and its result |
//! | [`raw_connection`] | raw connections from a chosen loopback address |
//! | [`honest_client`] | a client that measures how long it waits for responses |
//! | the others | one attack each |
//!
//! To add an attack, write a file with a constant `ATTACK`, and add it to the list
//! of modules and to [`ATTACKS`].

mod attack;
mod bad_requests;
mod connection_exhaustion;
mod honest_client;
mod hostile_file_names;
mod hostile_texts;
mod password_guessing;
mod raw_connection;
mod unread_assets;
mod unread_downloads;

use crate::{host::HostInfo, report::Report};
use anyhow::ensure;
use attack::{Attack, AttackContext};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// All attacks, in the order in which they run.
const ATTACKS: &[Attack] = &[
    bad_requests::ATTACK,
    hostile_file_names::ATTACK,
    hostile_texts::ATTACK,
    connection_exhaustion::ATTACK,
    unread_downloads::ATTACK,
    unread_assets::ATTACK,
    password_guessing::ATTACK,
];

/// Maximum duration of an attack. One that takes longer has failed.
const ATTACK_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub struct Attacks {
    /// Use smaller numbers and shorter waits, so that all attacks take well under a
    /// minute.
    #[arg(long)]
    quick: bool,
    /// Run only these attacks, by name; `--list` shows the names.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print the names of all attacks and what the server has to do.
    #[arg(long)]
    list: bool,
}

impl Attacks {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { quick, only, list } = self;
        if list {
            for attack in ATTACKS {
                println!("{:<28}{}", attack.name, attack.requirement);
            }
            return Ok(Report::new("", HostInfo::collect(Path::new("/"))));
        }
        for name in &only {
            ensure!(
                ATTACKS.iter().any(|attack| attack.name == name),
                "There is no attack {name:?}. `bench attacks --list` shows all of them."
            );
        }
        let form = if quick { "quick form" } else { "full form" };
        let title = format!("attacks: attempts to break in or to deny service, {form}");
        let mut report = Report::new(title, HostInfo::collect(&std::env::temp_dir()));
        let context = AttackContext::new(binary, quick)?;
        let chosen =
            |attack: &&Attack| only.is_empty() || only.iter().any(|name| name == attack.name);
        for attack in ATTACKS.iter().filter(chosen) {
            let start = Instant::now();
            let run = tokio::time::timeout(ATTACK_TIMEOUT, (attack.run)(&context)).await;
            let outcome = match run {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => attack::AttackResult::aborted(&format!("{error:#}")),
                Err(_) => attack::AttackResult::aborted(&format!(
                    "it did not end within {ATTACK_TIMEOUT:?}"
                )),
            };
            let took = start.elapsed().as_secs_f64();
            let word = if outcome.all_checks_passed() { "passed" } else { "FAILED" };
            eprintln!("{:<28}{took:>6.1} s  {word}", attack.name);
            outcome.add_to_report(attack, &mut report);
        }
        Ok(report)
    }
}
