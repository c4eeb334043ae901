//! A fingerprint of the bundle's inputs, so that an unchanged bundle is not rebuilt.

use anyhow::Context;
use std::{env, fmt::Write, fs, path::Path, time::UNIX_EPOCH};

/// Returns one line per input: path, size in bytes, and modification time in ns
/// since 1970.
pub fn compute(root: &Path, wasm: &Path, release: bool) -> anyhow::Result<String> {
    let mut stamp = format!("release {release}\n");
    // This program is an input too, because it determines how the bundle is packed.
    add_path(&mut stamp, &env::current_exe()?)?;
    add_path(&mut stamp, wasm)?;
    add_path(&mut stamp, &root.join("style"))?;
    Ok(stamp)
}

fn add_path(stamp: &mut String, path: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
    if metadata.is_dir() {
        let entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        return paths.iter().try_for_each(|path| add_path(stamp, path));
    }
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    writeln!(stamp, "{} {} {modified}", path.display(), metadata.len())?;
    Ok(())
}
