//! The wasm itself, by the first way that works on this machine.

use anyhow::{Context, bail, ensure};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-unknown-unknown";

enum Way {
    /// The toolchain has the target's standard library.
    Present,
    /// Debian's rustc and cargo with the library's source, built with the
    /// pages.
    Debian,
}

/// Builds `frontend` and returns the path of its wasm.
pub fn wasm(root: &Path, release: bool) -> anyhow::Result<PathBuf> {
    let profile = if release { "wasm" } else { "wasm-dev" };
    let (mut command, target_dir) = match way()? {
        Way::Present => (Command::new("cargo"), target_dir(root, "wasm")?),
        Way::Debian => (debian_cargo(), target_dir(root, "wasm-debian")?),
    };
    command.arg("build").args(frontend(profile)).arg("--target-dir").arg(&target_dir);
    let status = command.current_dir(root).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "the pages did not compile");
    Ok(target_dir.join(TARGET).join(profile).join("frontend.wasm"))
}

/// Clippy over the pages as the browser gets them: the server's build leaves
/// the `hydrate` half of `app` unseen.
pub fn lint(root: &Path) -> anyhow::Result<()> {
    if !matches!(way()?, Way::Present) {
        println!("The pages were not linted for wasm: this toolchain lacks the target {TARGET}.");
        return Ok(());
    }
    let mut command = Command::new("cargo");
    command.arg("clippy").args(frontend("wasm-dev"));
    command.arg("--target-dir").arg(target_dir(root, "wasm")?).args(["--", "-D", "warnings"]);
    let status = command.current_dir(root).status().context("can't run cargo clippy")?;
    ensure!(status.success(), "clippy found something in the pages");
    Ok(())
}

fn frontend(profile: &str) -> [&str; 7] {
    ["--locked", "--package", "frontend", "--target", TARGET, "--profile", profile]
}

/// Beside the other artefacts, apart from the server's: two compilers must
/// never share one folder.
fn target_dir(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let all = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => std::path::absolute(folder)?,
        None => root.join("target"),
    };
    Ok(all.join(name))
}

/// Another compiler than rustup's: its own flags, its own linker.
fn debian_cargo() -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    command
        .args(["-Z", "build-std=std,panic_abort"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", "/usr/bin/rustc")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
    command
}

fn way() -> anyhow::Result<Way> {
    let forced = env::var("MEANWHILE_WASM").ok();
    match forced.as_deref() {
        Some("debian") => return Ok(Way::Debian),
        Some("present" | "rustup") | None => {}
        Some(other) => bail!("MEANWHILE_WASM is {other:?}: set present, rustup or debian"),
    }
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout)?.trim());
    if sysroot.join("lib/rustlib").join(TARGET).exists() {
        return Ok(Way::Present);
    }
    if Path::new("/usr/bin/cargo").exists() && Path::new("/usr/lib/rustlib/src").exists() {
        return Ok(Way::Debian);
    }
    bail!("the target {TARGET} is missing: run scripts/setup.sh")
}

/// `wasm-opt -Oz` from npm's binaryen.
pub fn optimise(root: &Path, wasm: &Path) -> anyhow::Result<()> {
    let tools = root.join("target/tools");
    let wasm_opt = tools.join("node_modules/.bin/wasm-opt");
    if !wasm_opt.exists() {
        std::fs::create_dir_all(&tools)?;
        let status = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--prefix"])
            .arg(&tools)
            .arg("binaryen@130")
            .status()
            .context("a release needs npm, for wasm-opt")?;
        ensure!(status.success(), "npm could not install binaryen");
    }
    let status = Command::new(&wasm_opt)
        .args(["-Oz", "--all-features"])
        .arg(wasm)
        .arg("-o")
        .arg(wasm)
        .status()?;
    ensure!(status.success(), "wasm-opt failed");
    Ok(())
}
