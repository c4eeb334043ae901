//! The pages' bundle: wasm, its JavaScript, the style sheet; names with a
//! hash, so that browsers may keep them for ever.

mod compile;
mod pack;

use anyhow::Context;
use std::{fs, path::Path};

/// The bar for what a phone has to load, bytes.
const MAX_BROTLI: usize = 350 * 1024;

pub fn run(root: &Path, release: bool) -> anyhow::Result<()> {
    let wasm = compile::wasm(root, release)?;
    let site = root.join("target/site");
    let staging = root.join("target/site.new");
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    fs::create_dir_all(staging.join("pkg"))?;
    let raw = root.join("target/bindgen");
    if raw.exists() {
        fs::remove_dir_all(&raw)?;
    }
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(&wasm)
        .web(true)?
        .typescript(false)
        .remove_producers_section(true)
        .out_name("meanwhile")
        .generate(&raw)
        .context("wasm-bindgen failed")?;
    if release {
        compile::optimise(root, &raw.join("meanwhile_bg.wasm"))?;
    }
    let brotli = pack::run(root, &raw, &staging, release)?;
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    fs::rename(&staging, &site)?;
    if let Some(size) = brotli {
        println!("wasm, brotli: {:.1} kB (bar: {} kB)", size as f64 / 1024.0, MAX_BROTLI / 1024);
        anyhow::ensure!(size <= MAX_BROTLI, "the wasm is too large");
    }
    Ok(())
}
