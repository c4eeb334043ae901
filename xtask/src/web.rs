//! The pages' bundle: wasm, its JavaScript, the style sheet; names with a
//! hash, so that browsers may keep them for ever.

mod compile;
mod pack;
mod stamp;
mod trim;

use anyhow::{Context, ensure};
use std::{fs, path::Path};

pub use compile::lint;

/// The bar for what a phone has to load, bytes.
const MAX_BROTLI: usize = 350 * 1024;

pub fn run(root: &Path, release: bool) -> anyhow::Result<()> {
    let wasm = compile::wasm(root, release)?;
    let site = root.join("target/site");
    let stamp_file = root.join("target/site.stamp");
    let stamp = stamp::of(root, &wasm, release)?;
    // A site that is written anew makes cargo build a release server anew.
    if site.exists() && fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp) {
        return Ok(());
    }
    let staging = root.join("target/site.new");
    empty(&staging)?;
    fs::create_dir_all(staging.join("pkg"))?;
    let raw = root.join("target/bindgen");
    empty(&raw)?;
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    if release {
        bindgen.input_bytes("meanwhile", trim::run(&wasm)?);
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
        compile::optimise(root, &raw.join("meanwhile_bg.wasm"))?;
    }
    let brotli = pack::run(root, &raw, &staging, release)?;
    if let Some(size) = brotli {
        let (size, bar) = (size as f64 / 1024.0, MAX_BROTLI as f64 / 1024.0);
        println!("wasm, brotli: {size:.1} kB (bar: {bar} kB)");
        ensure!(size <= bar, "the wasm is over its bar: look at what came in since it was not");
    }
    empty(&site)?;
    fs::rename(&staging, &site)?;
    fs::write(&stamp_file, stamp)?;
    Ok(())
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("can't empty {}", folder.display()))?;
    }
    Ok(())
}
