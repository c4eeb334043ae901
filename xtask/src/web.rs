//! Builds the web bundle: wasm, its JavaScript and the style sheet. File names
//! contain a hash, so that browsers may cache them forever.

mod compile;
mod pack;
mod stamp;
mod trim_unreachable;

use anyhow::{Context, ensure};
use std::{fs, path::Path};

pub use compile::lint;

/// Maximum size of the compressed wasm, which a phone has to load, in bytes. All pages share it.
const MAX_BROTLI_BYTES: usize = 430 * 1024;

pub fn run(root: &Path, release: bool) -> anyhow::Result<()> {
    let wasm = compile::build_wasm(root, release)?;
    let site = root.join("target/site");
    let stamp_file = root.join("target/site.stamp");
    let stamp = stamp::compute(root, &wasm, release)?;
    // Rewriting an unchanged site would make cargo rebuild a release server.
    if site.exists() && fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp) {
        return Ok(());
    }
    let staging = root.join("target/site.new");
    remove_dir_if_exists(&staging)?;
    fs::create_dir_all(staging.join("pkg"))?;
    let raw = root.join("target/bindgen");
    remove_dir_if_exists(&raw)?;
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    if release {
        bindgen.input_bytes("meanwhile", trim_unreachable::run(&wasm)?);
    } else {
        bindgen.input_path(&wasm);
    }
    bindgen
        .web(true)?
        .typescript(false)
        .remove_producers_section(true)
        .out_name("meanwhile")
        .generate(&raw)
        .context("wasm-bindgen failed")?;
    if release {
        compile::optimize_wasm(root, &raw.join("meanwhile_bg.wasm"))?;
    }
    let brotli = pack::run(root, &raw, &staging, release)?;
    if let Some(size) = brotli {
        let (size, limit) = (size as f64 / 1024.0, MAX_BROTLI_BYTES as f64 / 1024.0);
        println!("wasm, brotli: {size:.1} KiB (limit: {limit} KiB)");
        ensure!(size <= limit, "the wasm is over its size limit: look for what made it grow");
    }
    remove_dir_if_exists(&site)?;
    fs::rename(&staging, &site)?;
    fs::write(&stamp_file, stamp)?;
    Ok(())
}

fn remove_dir_if_exists(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("can't empty {}", folder.display()))?;
    }
    Ok(())
}
