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
    let (cargo, more, target_dir) = match way()? {
        Way::Present => ("cargo", &[][..], "target/wasm"),
        Way::Debian => {
            ("/usr/bin/cargo", &["-Z", "build-std=std,panic_abort"][..], "target/wasm-debian")
        }
    };
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--locked", "--package", "frontend", "--target", TARGET])
        .args(["--profile", profile, "--target-dir", target_dir])
        .args(more)
        .env_remove("CARGO_TARGET_DIR");
    if !more.is_empty() {
        // Another compiler than rustup's: its own flags, its own linker.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", "/usr/bin/rustc")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
    }
    let status = command.status().with_context(|| format!("can't run {cargo}"))?;
    ensure!(status.success(), "the pages did not compile");
    Ok(root.join(target_dir).join(TARGET).join(profile).join("frontend.wasm"))
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
    if Path::new("/usr/lib/rustlib/src").exists() || Path::new("/usr/bin/cargo").exists() {
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
