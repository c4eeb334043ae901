//! The arrows of the house: which crate may know which.

use anyhow::{Context, bail};
use std::{path::Path, process::Command};

/// Package, what else `cargo tree` is asked, and what must not be below it.
const FORBIDDEN: &[(&str, &[&str], &[&str])] = &[
    ("contract", &[], &["tokio", "axum", "leptos", "sea-orm", "lapin", "engine"]),
    ("engine", &[], &["leptos", "axum", "worker", "app", "server", "sandbox"]),
    ("worker", &[], &["leptos", "axum", "app", "server", "sandbox"]),
    ("sandbox", &[], &["leptos", "engine", "worker", "app", "server", "contract"]),
    ("servers", &[], &["engine", "contract"]),
    ("bench", &[], &["leptos", "engine", "worker", "app", "server"]),
    ("app", &["--features", "ssr"], &["worker", "server", "sandbox"]),
    (
        "frontend",
        &["--target", "wasm32-unknown-unknown"],
        &["engine", "tokio", "lapin", "axum", "sqlx", "sea-orm"],
    ),
];

pub fn run(root: &Path) -> anyhow::Result<()> {
    let mut wrong = 0;
    for (package, more, forbidden) in FORBIDDEN {
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["tree", "--locked", "--prefix", "none", "--edges", "normal", "--format", "{p}"])
            .args(["--package", package])
            .args(*more)
            .output()
            .context("can't run cargo tree")?;
        if !output.status.success() {
            bail!("cargo tree {package}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let tree = String::from_utf8_lossy(&output.stdout);
        let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        for name in forbidden.iter().filter(|name| names.contains(name)) {
            eprintln!(
                "{package} must not depend on {name}: see `cargo tree -p {package} -i {name}`"
            );
            wrong += 1;
        }
    }
    if wrong > 0 {
        bail!("{wrong} arrows point the wrong way");
    }
    println!("the arrows of {} crates are right", FORBIDDEN.len());
    Ok(())
}
