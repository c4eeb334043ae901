//! Generates `docs/EVENTS.md` from the contract's types: the catalogue, the
//! schemas of all messages, and an example of each event.

mod document;
mod example;
mod schema;

use anyhow::{Context, ensure};
use contract::{
    catalogue::{self, COMMANDS, Event},
    fact::FactKind,
};
use std::{fs, path::Path};

/// Writes the document; with `check`, fails if it differs instead.
pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let facts: Vec<_> =
        FactKind::ALL.iter().map(|&kind| (kind, catalogue::fact_event(kind))).collect();
    let events: Vec<&Event> = COMMANDS.iter().chain(facts.iter().map(|(_, fact)| fact)).collect();
    for event in &events {
        for cause in event.may_cause {
            let known = events.iter().any(|event| event.kind == *cause);
            ensure!(known, "{} may cause {cause}, which the catalogue lacks", event.kind);
        }
    }
    let text = document::render(&facts)?;
    let path = root.join("docs/EVENTS.md");
    if check {
        let current = fs::read_to_string(&path).unwrap_or_default();
        ensure!(current == text, "docs/EVENTS.md is out of date: run `cargo xtask events`");
        println!("docs/EVENTS.md is up to date: {} events", events.len());
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}
