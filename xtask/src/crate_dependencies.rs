//! Checks which crates a crate may depend on.

use anyhow::{Context, bail};
use std::{collections::BTreeSet, path::Path, process::Command};

/// Package, further arguments for `cargo tree`, and packages on which it must not
/// depend, directly or indirectly.
const FORBIDDEN_DEPENDENCIES: &[(&str, &[&str], &[&str])] = &[
    ("aws", &[], &["leptos", "axum", "engine", "worker", "app", "server", "aws-lc-rs"]),
    ("contract", &[], &["tokio", "axum", "leptos", "sea-orm", "lapin", "engine"]),
    ("compare", &[], &["leptos", "engine", "worker", "app", "server", "testbed"]),
    ("channels", &[], &["tokio", "reqwest", "axum", "leptos", "engine", "worker", "server"]),
    ("cli", &[], &["leptos", "axum", "engine", "worker", "app", "server", "sandbox"]),
    ("engine", &[], &["leptos", "axum", "worker", "app", "server", "sandbox"]),
    ("ingress", &[], &["leptos", "engine", "worker", "app", "server", "sandbox"]),
    ("worker", &[], &["leptos", "axum", "app", "server", "sandbox"]),
    ("sandbox", &[], &["leptos", "engine", "worker", "app", "server", "contract"]),
    ("tls", &[], &["contract", "engine", "worker", "app", "server", "sandbox", "tokio"]),
    ("testbed", &[], &["engine", "worker", "sandbox", "app", "server"]),
    // It reads files by itself to measure what that takes.
    ("bench", &[], &["leptos", "worker", "app", "server"]),
    ("app", &["--features", "ssr"], &["worker", "server", "sandbox"]),
    (
        "frontend",
        &["--target", "wasm32-unknown-unknown"],
        &["engine", "tokio", "lapin", "axum", "sqlx", "sea-orm"],
    ),
];

/// Packages that no crate may depend on: second implementations of TLS. rustls on ring is the
/// only one.
const FORBIDDEN_PACKAGES: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// Features that no crate may turn on: they let a client accept every certificate, or trust
/// authorities that the system does not.
const FORBIDDEN_FEATURES: &[(&str, &str)] = &[
    ("redis", "tls-rustls-insecure"),
    ("redis", "tls-rustls-webpki-roots"),
    ("sqlx-core", "webpki-roots"),
    ("tcp-stream", "rustls-webpki-roots-certs"),
];

pub fn run(root: &Path) -> anyhow::Result<()> {
    let mut violations = 0;
    for (package, arguments, forbidden) in FORBIDDEN_DEPENDENCIES {
        let mut selection = vec!["--edges", "normal", "--format", "{p}", "--package", package];
        selection.extend_from_slice(arguments);
        let tree = cargo_tree(root, &selection)?;
        let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        for name in forbidden.iter().filter(|name| names.contains(name)) {
            eprintln!(
                "{package} must not depend on {name}: see `cargo tree -p {package} -i {name}`"
            );
            violations += 1;
        }
    }
    let tree = cargo_tree(root, &["--workspace", "--target", "all", "--format", "{p} {f}"])?;
    for violation in find_forbidden(&tree) {
        eprintln!("{violation}");
        violations += 1;
    }
    if violations > 0 {
        bail!("{violations} forbidden dependencies");
    }
    println!("the dependencies of {} crates are as allowed", FORBIDDEN_DEPENDENCIES.len());
    Ok(())
}

/// Runs `cargo tree` with `arguments`, and returns one line for each package.
fn cargo_tree(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["tree", "--locked", "--prefix", "none"])
        .args(arguments)
        .output()
        .context("can't run cargo tree")?;
    if !output.status.success() {
        let arguments = arguments.join(" ");
        bail!("cargo tree {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns a sentence for each forbidden package and feature in `tree`, which has lines such
/// as `ring v0.17.14 default,std`.
fn find_forbidden(tree: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if FORBIDDEN_PACKAGES.contains(&name) {
            found.insert(format!(
                "nothing may depend on {name}, rustls on ring is the only TLS: see `cargo tree \
                 --workspace --target all -i {name}`"
            ));
        }
        for (package, feature) in FORBIDDEN_FEATURES {
            if name == *package && line.split([' ', ',']).any(|word| word == *feature) {
                found.insert(format!(
                    "nothing may turn on the feature {feature} of {package}: see `cargo tree \
                     --workspace --edges features -i {package}`"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::find_forbidden;

    #[test]
    fn second_tls_and_careless_features_are_found() {
        let tree = "ring v0.17.14 default,std\nredis v1.8.1 aio,tls-rustls,tokio-rustls-comp (*)\n";
        assert_eq!(find_forbidden(tree).len(), 0);
        for line in [
            "aws-lc-rs v1.0.0 default",
            "openssl-sys v0.9.0 ",
            "redis v1.8.1 aio,tls-rustls-insecure,script",
            "sqlx-core v0.9.0 webpki-roots (*)",
        ] {
            let found = find_forbidden(&format!("{tree}{line}\n{line}\n"));
            assert_eq!(found.len(), 1, "{line}");
        }
    }
}
