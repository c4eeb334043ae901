//! Builds the release server and runs a benchmark on it.

use anyhow::ensure;
use std::{path::Path, process::Command};

/// Runs `bench` with these arguments: a scenario and its options.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    for package in ["server", "bench"] {
        cargo(root, &["build", "--locked", "--release", "--package", package])?;
    }
    let mut bench = vec!["run", "--quiet", "--locked", "--release", "--package", "bench", "--"];
    bench.extend(arguments.iter().map(String::as_str));
    cargo(root, &bench)
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO")).current_dir(root).args(arguments).status()?;
    ensure!(status.success(), "`cargo {}`: {status}", arguments.join(" "));
    Ok(())
}
