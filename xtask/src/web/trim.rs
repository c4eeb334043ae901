//! Takes out of the wasm what this program never runs but its linker keeps.

use anyhow::Context;
use std::{fs, path::Path};
use walrus::{FunctionBuilder, FunctionKind, Module};

/// Hydration that awaits, which Leptos needs for islands and lazily loaded
/// routes alone, and of `<template>` elements, which nothing here makes. Every
/// `AnyView` and every attribute points to its own, so that no linker can tell
/// that nobody calls it; with all that hangs on it, it is a fifth of the wasm.
const NEVER_RUN: [&str; 2] = ["13hydrate_async", "21hydrate_from_template"];

/// Reads `wasm` and makes each function of [`NEVER_RUN`] a trap, which lets
/// `wasm-opt` drop whatever only those call.
///
/// # Errors
/// The file can't be read, is no wasm, or has no such function: then Leptos
/// has changed, and so must this.
pub fn run(wasm: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(wasm).with_context(|| format!("can't read {}", wasm.display()))?;
    let mut module = Module::from_buffer(&bytes)?;
    let never: Vec<_> = module
        .funcs
        .iter_local()
        .filter_map(|(id, _)| {
            let name = module.funcs.get(id).name.as_ref()?;
            Some((id, NEVER_RUN.iter().position(|never| name.contains(never))?))
        })
        .collect();
    for (place, name) in NEVER_RUN.iter().enumerate() {
        let found = never.iter().any(|(_, of)| *of == place);
        anyhow::ensure!(found, "the wasm has no function {name}");
    }
    for (id, _) in never {
        let kind = module.funcs.get(id).ty();
        let (params, results) = module.types.params_results(kind);
        let (params, results) = (params.to_vec(), results.to_vec());
        let mut trap = FunctionBuilder::new(&mut module.types, &params, &results);
        trap.func_body().unreachable();
        let arguments = params.iter().map(|kind| module.locals.add(*kind)).collect();
        module.funcs.get_mut(id).kind = FunctionKind::Local(trap.local_func(arguments));
    }
    Ok(module.emit_wasm())
}
