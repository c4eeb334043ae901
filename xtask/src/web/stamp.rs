//! What a bundle was made from, so that an unchanged one is left alone.

use anyhow::Context;
use std::{env, fmt::Write, fs, path::Path, time::UNIX_EPOCH};

/// One line for each input: path, bytes, time of its last change in ns.
pub fn of(root: &Path, wasm: &Path, release: bool) -> anyhow::Result<String> {
    let mut stamp = format!("release {release}\n");
    // The tool itself is an input: a change of how it packs is one of the bundle.
    add(&mut stamp, &env::current_exe()?)?;
    add(&mut stamp, wasm)?;
    add(&mut stamp, &root.join("style"))?;
    Ok(stamp)
}

fn add(stamp: &mut String, path: &Path) -> anyhow::Result<()> {
    let about = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
    if about.is_dir() {
        let entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        return paths.iter().try_for_each(|path| add(stamp, path));
    }
    let changed = about.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    writeln!(stamp, "{} {} {changed}", path.display(), about.len())?;
    Ok(())
}
