//! Adds hashes to file names, compresses the files and writes the manifest.

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, fs, io::Write as _, path::Path};

/// Packs the files of `raw` into `site`; returns the wasm's size in brotli if
/// `release` compressed it.
pub fn run(root: &Path, raw: &Path, site: &Path, release: bool) -> anyhow::Result<Option<usize>> {
    let js = write_asset(site, "meanwhile.js", read_file(&raw.join("meanwhile.js"))?, release)?;
    let wasm = write_asset(
        site,
        "meanwhile_bg.wasm",
        read_file(&raw.join("meanwhile_bg.wasm"))?,
        release,
    )?;
    let css =
        write_asset(site, "main.css", inline_imports(&root.join("style"))?.into_bytes(), release)?;
    let snippets = raw.join("snippets");
    if snippets.exists() {
        copy_dir(&snippets, &site.join("pkg/snippets"))?;
    }
    let manifest = serde_json::json!({ "js": js.0, "wasm": wasm.0, "css": css.0 });
    fs::write(site.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    Ok(wasm.1)
}

/// Returns `main.css` with its imports replaced by the imported sheets, each in its
/// layer: the browser sends one request, and the build needs no CSS tool.
fn inline_imports(folder: &Path) -> anyhow::Result<String> {
    let mut sheet = String::new();
    for line in String::from_utf8(read_file(&folder.join("main.css"))?)?.lines() {
        let Some(import) = line.strip_prefix("@import ") else {
            writeln!(sheet, "{line}")?;
            continue;
        };
        let (name, layer) =
            parse_import(import).with_context(|| format!("main.css: can't inline {line:?}"))?;
        let imported = String::from_utf8(read_file(&folder.join(name))?)?;
        match layer {
            Some(layer) => writeln!(sheet, "@layer {layer} {{\n{imported}}}")?,
            None => sheet.push_str(&imported),
        }
    }
    Ok(sheet)
}

/// Splits `"name";` or `"name" layer(layer);`.
fn parse_import(import: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = import.strip_prefix('"')?.split_once('"')?;
    match rest.strip_suffix(';')?.trim() {
        "" => Some((name, None)),
        layer => Some((name, Some(layer.strip_prefix("layer(")?.strip_suffix(')')?))),
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

fn write_asset(
    site: &Path,
    name: &str,
    bytes: Vec<u8>,
    release: bool,
) -> anyhow::Result<(String, Option<usize>)> {
    let hash = hex::encode(&Sha256::digest(&bytes)[..8]);
    let (stem, extension) = name.split_once('.').context("a file name without an extension")?;
    let path = format!("pkg/{stem}.{hash}.{extension}");
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

fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_import;

    #[test]
    fn an_import_may_have_a_layer() {
        assert_eq!(parse_import("\"a.css\";"), Some(("a.css", None)));
        assert_eq!(parse_import("\"a.css\" layer(base);"), Some(("a.css", Some("base"))));
        assert_eq!(parse_import("\"a.css\" screen;"), None);
        assert_eq!(parse_import("url(a.css);"), None);
    }
}
