//! Programs from npm and PyPI, which `scripts/setup.sh test` installs.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the folder with the npm packages of a tool.
///
/// # Panics
/// It is not installed.
fn packages(tool: &str) -> PathBuf {
    let folder = tools().join(tool).join("node_modules");
    assert!(folder.is_dir(), "{tool} is missing: run scripts/setup.sh test");
    folder
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

/// Returns a command that runs Node where it finds the packages of a tool.
///
/// # Panics
/// The tool is not installed.
pub fn node_command(tool: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    // The system's Node may be too old; then setup.sh has installed another one.
    let folders = [tools().join("node/bin")].into_iter().chain(env::split_paths(&path));
    let path: OsString = env::join_paths(folders).unwrap_or(path);
    let mut command = Command::new("env");
    command.arg("node").env("PATH", path).env("NODE_PATH", packages(tool));
    command
}

/// Returns a command that runs Python with the packages of the examples in `docs`.
///
/// # Panics
/// It is not installed.
pub fn python_command() -> Command {
    let python = tools().join("python/bin/python");
    assert!(python.exists(), "Python's packages are missing: run scripts/setup.sh test");
    Command::new(python)
}

/// Returns the path of a program of a tool, as its package names it.
///
/// # Panics
/// The tool is not installed.
pub fn program(tool: &str, name: &str) -> PathBuf {
    packages(tool).join(".bin").join(name)
}
