//! Compiles the wasm with the first toolchain that this machine has.

use anyhow::{Context, bail, ensure};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-unknown-unknown";

enum Toolchain {
    /// cargo's toolchain includes the target's standard library.
    Installed,
    /// Debian's rustc and cargo; the standard library is built from source together
    /// with the pages.
    Debian,
}

/// Builds `frontend` and returns the path of its wasm.
pub fn build_wasm(root: &Path, release: bool) -> anyhow::Result<PathBuf> {
    let profile = if release { "wasm" } else { "wasm-dev" };
    let (mut command, target_dir) = match find_toolchain()? {
        Toolchain::Installed => (Command::new("cargo"), target_dir(root, "wasm")?),
        Toolchain::Debian => (debian_cargo(), target_dir(root, "wasm-debian")?),
    };
    command.arg("build").args(frontend_arguments(profile)).arg("--target-dir").arg(&target_dir);
    let status = command.current_dir(root).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "the pages failed to compile");
    Ok(target_dir.join(TARGET).join(profile).join("frontend.wasm"))
}

/// Runs clippy on the pages as compiled for the browser: the server's build does
/// not include the `hydrate` half of `app`.
pub fn lint(root: &Path) -> anyhow::Result<()> {
    if !matches!(find_toolchain()?, Toolchain::Installed) {
        println!("The pages were not linted for wasm: this toolchain lacks the target {TARGET}.");
        return Ok(());
    }
    let mut command = Command::new("cargo");
    command.arg("clippy").args(frontend_arguments("wasm-dev"));
    command.arg("--target-dir").arg(target_dir(root, "wasm")?).args(["--", "-D", "warnings"]);
    let status = command.current_dir(root).status().context("can't run cargo clippy")?;
    ensure!(status.success(), "clippy found something in the pages");
    Ok(())
}

fn frontend_arguments(profile: &str) -> [&str; 7] {
    ["--locked", "--package", "frontend", "--target", TARGET, "--profile", profile]
}

/// Returns a target folder beside the server's, because two compilers must never
/// share one.
fn target_dir(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let parent = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => std::path::absolute(folder)?,
        None => root.join("target"),
    };
    Ok(parent.join(name))
}

/// Returns Debian's cargo with its own compiler, flags and linker.
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

fn find_toolchain() -> anyhow::Result<Toolchain> {
    let forced = env::var("MEANWHILE_WASM").ok();
    match forced.as_deref() {
        Some("debian") => return Ok(Toolchain::Debian),
        Some("installed" | "rustup") | None => {}
        Some(other) => bail!("MEANWHILE_WASM is {other:?}: set installed, rustup or debian"),
    }
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout)?.trim());
    if sysroot.join("lib/rustlib").join(TARGET).exists() {
        return Ok(Toolchain::Installed);
    }
    if Path::new("/usr/bin/cargo").exists() && Path::new("/usr/lib/rustlib/src").exists() {
        return Ok(Toolchain::Debian);
    }
    bail!("the target {TARGET} is missing: run scripts/setup.sh")
}

/// Runs `wasm-opt -Oz` from npm's binaryen.
pub fn optimize_wasm(root: &Path, wasm: &Path) -> anyhow::Result<()> {
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
