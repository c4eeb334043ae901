//! Tasks of this repository. `cargo xtask help` lists them.

mod bench;
mod crate_dependencies;
mod events;
mod openapi;
mod styles;
mod web;

use clap::{Parser, Subcommand};
use std::{env, path::PathBuf};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: XtaskCommand,
}

#[derive(Subcommand)]
enum XtaskCommand {
    /// Builds the web bundle into target/site.
    Web {
        /// Optimizes and compresses the bundle, which takes minutes.
        #[arg(long)]
        release: bool,
        /// Runs clippy on the pages for wasm instead of building them.
        #[arg(long, conflicts_with = "release")]
        lint: bool,
    },
    /// Checks that no crate has a forbidden dependency.
    CheckDependencies,
    /// Checks that one style sheet owns each class, and that colours are tokens.
    CheckStyles,
    /// Writes docs/EVENTS.md from the contract's types.
    Events {
        /// Fails if the file differs instead of writing it.
        #[arg(long)]
        check: bool,
    },
    /// Writes docs/openapi.json from the table of the API's operations.
    Openapi {
        /// Fails if the file differs instead of writing it.
        #[arg(long)]
        check: bool,
    },
    /// Benchmarks the release server: accept, batch, relay, throughput and more.
    Bench {
        /// Scenario and its options; `cargo xtask bench help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        XtaskCommand::Web { lint: true, .. } => web::lint(&root()),
        XtaskCommand::Web { release, .. } => web::run(&root(), release),
        XtaskCommand::CheckDependencies => crate_dependencies::run(&root()),
        XtaskCommand::CheckStyles => styles::run(&root()),
        XtaskCommand::Events { check } => events::run(&root(), check),
        XtaskCommand::Openapi { check } => openapi::run(&root(), check),
        XtaskCommand::Bench { arguments } => bench::run(&root(), &arguments),
    }
}

/// Returns the repository's folder. It is read at run time, because checkouts that
/// share a target folder share this binary.
fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map(PathBuf::from).unwrap_or(here)
}
