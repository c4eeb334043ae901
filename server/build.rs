//! The pages' bundle is embedded from `target/site`; a checkout that has not
//! built it yet gets an empty folder, and pages without scripts.

use std::{env, fs, path::PathBuf};

fn main() -> std::io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let site = here.join("../target/site");
    fs::create_dir_all(&site)?;
    println!("cargo::rerun-if-changed={}", site.display());
    Ok(())
}
