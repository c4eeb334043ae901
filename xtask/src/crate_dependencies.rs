//! Checks which crates a crate may depend on.

use anyhow::{Context, bail};
use std::{path::Path, process::Command};

/// Package, further arguments for `cargo tree`, and packages on which it must not
/// depend, directly or indirectly.
const FORBIDDEN_DEPENDENCIES: &[(&str, &[&str], &[&str])] = &[
    ("contract", &[], &["tokio", "axum", "leptos", "sea-orm", "lapin", "engine"]),
    ("engine", &[], &["leptos", "axum", "worker", "app", "server", "sandbox"]),
    ("ingress", &[], &["leptos", "engine", "worker", "app", "server", "sandbox"]),
    ("worker", &[], &["leptos", "axum", "app", "server", "sandbox"]),
    ("sandbox", &[], &["leptos", "engine", "worker", "app", "server", "contract"]),
    ("testbed", &[], &["engine", "worker", "sandbox", "app", "server"]),
    ("bench", &[], &["leptos", "engine", "worker", "app", "server"]),
    ("app", &["--features", "ssr"], &["worker", "server", "sandbox"]),
    (
        "frontend",
        &["--target", "wasm32-unknown-unknown"],
        &["engine", "tokio", "lapin", "axum", "sqlx", "sea-orm"],
    ),
];

pub fn run(root: &Path) -> anyhow::Result<()> {
    let mut violations = 0;
    for (package, arguments, forbidden) in FORBIDDEN_DEPENDENCIES {
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["tree", "--locked", "--prefix", "none", "--edges", "normal", "--format", "{p}"])
            .args(["--package", package])
            .args(*arguments)
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
            violations += 1;
        }
    }
    if violations > 0 {
        bail!("{violations} forbidden dependencies");
    }
    println!("the dependencies of {} crates are as allowed", FORBIDDEN_DEPENDENCIES.len());
    Ok(())
}
