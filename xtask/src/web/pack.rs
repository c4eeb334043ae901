//! Names with a hash, compressed copies, and the manifest.

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::{fs, io::Write, path::Path};

/// Packs what lies in `raw` into `site`; returns the wasm's size in brotli
/// where it was compressed.
pub fn run(root: &Path, raw: &Path, site: &Path, release: bool) -> anyhow::Result<Option<usize>> {
    let js = put(site, "meanwhile.js", read(&raw.join("meanwhile.js"))?, release)?;
    let wasm = put(site, "meanwhile_bg.wasm", read(&raw.join("meanwhile_bg.wasm"))?, release)?;
    let css = put(site, "main.css", sheet(&root.join("style"))?.into_bytes(), release)?;
    let snippets = raw.join("snippets");
    if snippets.exists() {
        copy(&snippets, &site.join("pkg/snippets"))?;
    }
    let manifest = serde_json::json!({ "js": js.0, "wasm": wasm.0, "css": css.0 });
    fs::write(site.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    Ok(wasm.1)
}

/// `main.css` with each sheet that it imports in the import's place: one
/// request, and no tool but this for what the sheets use.
fn sheet(folder: &Path) -> anyhow::Result<String> {
    let mut sheet = String::new();
    for line in String::from_utf8(read(&folder.join("main.css"))?)?.lines() {
        let import = line.strip_prefix("@import \"").and_then(|rest| rest.strip_suffix("\";"));
        match import {
            Some(name) => sheet.push_str(&String::from_utf8(read(&folder.join(name))?)?),
            None => sheet.push_str(line),
        }
        sheet.push('\n');
    }
    Ok(sheet)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

fn put(
    site: &Path,
    name: &str,
    bytes: Vec<u8>,
    release: bool,
) -> anyhow::Result<(String, Option<usize>)> {
    let hash = hex::encode(&Sha256::digest(&bytes)[..8]);
    let (stem, ending) = name.split_once('.').context("a name without an ending")?;
    let path = format!("pkg/{stem}.{hash}.{ending}");
    fs::write(site.join(&path), &bytes)?;
    if !release {
        return Ok((path, None));
    }
    let mut brotli = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut brotli, &params)?;
    fs::write(site.join(format!("{path}.br")), &brotli)?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&bytes)?;
    fs::write(site.join(format!("{path}.gz")), gzip.finish()?)?;
    Ok((path, Some(brotli.len())))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
