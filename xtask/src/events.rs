//! `docs/EVENTS.md`, from the contract's types: the catalogue, the schemas of
//! what crosses a wire, and an example of each event.

mod example;
mod page;
mod schema;

use anyhow::{Context, ensure};
use contract::{
    catalogue::{self, COMMANDS, Event},
    fact::FactKind,
};
use std::{fs, path::Path};

/// Writes the document; with `check`, fails where it differs instead.
pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let facts: Vec<_> = FactKind::ALL.iter().map(|&kind| (kind, catalogue::fact(kind))).collect();
    let events: Vec<&Event> = COMMANDS.iter().chain(facts.iter().map(|(_, fact)| fact)).collect();
    for event in &events {
        for cause in event.causes {
            let known = events.iter().any(|event| event.kind == *cause);
            ensure!(known, "{} may cause {cause}, which the catalogue lacks", event.kind);
        }
    }
    let text = page::write(&facts)?;
    let path = root.join("docs/EVENTS.md");
    if check {
        let written = fs::read_to_string(&path).unwrap_or_default();
        ensure!(written == text, "docs/EVENTS.md is not of these types: run `cargo xtask events`");
        println!("docs/EVENTS.md tells of {} events as they are", events.len());
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}
