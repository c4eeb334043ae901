//! What the repository does with itself. `cargo xtask help` lists it.

mod arrows;
mod bench;
mod events;
mod web;

use clap::{Parser, Subcommand};
use std::{env, path::PathBuf};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the pages' bundle into target/site.
    Web {
        /// Small and compressed; takes minutes.
        #[arg(long)]
        release: bool,
        /// Runs clippy over the pages for wasm and builds nothing.
        #[arg(long, conflicts_with = "release")]
        lint: bool,
    },
    /// Checks which crate may depend on which.
    Arrows,
    /// Writes docs/EVENTS.md from the contract's types.
    Events {
        /// Writes nothing, and fails where it differs.
        #[arg(long)]
        check: bool,
    },
    /// Measures the release server: accept, batch, relay, throughput and more.
    Bench {
        /// Which, and its options; `cargo xtask bench help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Web { lint: true, .. } => web::lint(&root()),
        Task::Web { release, .. } => web::run(&root(), release),
        Task::Arrows => arrows::run(&root()),
        Task::Events { check } => events::run(&root(), check),
        Task::Bench { arguments } => bench::run(&root(), &arguments),
    }
}

/// The repository's folder, as cargo tells it now: checkouts that share a target
/// folder share this binary.
fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map(PathBuf::from).unwrap_or(here)
}
