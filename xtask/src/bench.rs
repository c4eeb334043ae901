//! Builds the release server and measures it.

use anyhow::ensure;
use std::{path::Path, process::Command};

/// `arguments`: a scenario and its options, as `bench` takes them.
pub fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    for package in ["server", "bench"] {
        cargo(root, &["build", "--locked", "--release", "--package", package])?;
    }
    let mut all = vec!["run", "--quiet", "--locked", "--release", "--package", "bench", "--"];
    all.extend(arguments.iter().map(String::as_str));
    cargo(root, &all)
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO")).current_dir(root).args(arguments).status()?;
    ensure!(status.success(), "`cargo {}`: {status}", arguments.join(" "));
    Ok(())
}
