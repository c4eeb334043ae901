//! Generates `docs/EVENTS.md` and `docs/asyncapi.json` from the contract's types: the
//! catalogue, the schemas of all messages, and an example of each event.

mod asyncapi;
mod document;
mod example;
mod schema;

use anyhow::{Context, ensure};
use contract::{
    catalogue::{self, COMMANDS, Event},
    fact::FactKind,
    signal::SignalKind,
};
use std::{fs, path::Path};

/// Writes the documents; with `check`, fails if one differs instead.
pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let facts: Vec<_> =
        FactKind::ALL.iter().map(|&kind| (kind, catalogue::fact_event(kind))).collect();
    let signals: Vec<_> =
        SignalKind::ALL.iter().map(|&kind| catalogue::signal_event(kind)).collect();
    let events: Vec<&Event> =
        COMMANDS.iter().chain(facts.iter().map(|(_, fact)| fact)).chain(&signals).collect();
    for event in &events {
        for cause in event.may_cause {
            let known = events.iter().any(|event| event.kind == *cause);
            ensure!(known, "{} may cause {cause}, which the catalogue lacks", event.kind);
        }
    }
    let documents = [
        ("docs/EVENTS.md", document::render(&facts)?),
        ("docs/asyncapi.json", asyncapi::render(&facts)?),
    ];
    for (name, text) in documents {
        let path = root.join(name);
        if check {
            let current = fs::read_to_string(&path).unwrap_or_default();
            ensure!(current == text, "{name} is out of date: run `cargo xtask events`");
            println!("{name} is up to date: {} events", events.len());
        } else {
            fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        }
    }
    Ok(())
}
