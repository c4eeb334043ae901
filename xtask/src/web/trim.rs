//! Takes out of the wasm what this program never runs but its linker keeps.

use anyhow::Context;
use std::{fs, path::Path};
use walrus::{FunctionBuilder, FunctionKind, Module};

/// Hydration that awaits, which Leptos needs for islands and lazily loaded
/// routes alone. Every `AnyView` points to its own, so that no linker can tell
/// that nobody calls it; with all that hangs on it, it is a fifth of the wasm.
const NEVER_RUN: &str = "13hydrate_async";
/// The body of an async function, as its mangled name ends.
const BODY: &str = "28_$u7b$$u7b$closure$u7d$$u7d$";

/// Reads `wasm` and makes each function of [`NEVER_RUN`] a trap, which lets
/// `wasm-opt` drop whatever only those call.
///
/// The functions themselves and their bodies, and nothing else that is within
/// them: the compiler makes one of functions that are alike, so that a helper
/// of theirs may be a helper of the hydration that does run.
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
        .map(|(id, _)| id)
        .filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(is_never_run))
        .collect();
    anyhow::ensure!(!never.is_empty(), "the wasm has no function {NEVER_RUN}");
    for id in never {
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

/// Of a mangled name, such as `_ZN…13hydrate_async17h0123456789abcdefE`.
fn is_never_run(name: &str) -> bool {
    const HASH: usize = "17h0123456789abcdefE".len();
    let Some(path) = name.len().checked_sub(HASH).and_then(|end| name.get(..end)) else {
        return false;
    };
    path.strip_suffix(BODY).unwrap_or(path).ends_with(NEVER_RUN)
}

#[cfg(test)]
mod tests {
    use super::is_never_run;

    #[test]
    fn a_helper_within_is_left_alone() {
        let of = |path: &str| is_never_run(&format!("_ZN6tachys{path}17h7d04e3d5f51c78c1E"));
        assert!(of("13hydrate_async"));
        assert!(of("13hydrate_async28_$u7b$$u7b$closure$u7d$$u7d$"));
        assert!(!of("13hydrate_async28_$u7b$$u7b$closure$u7d$$u7d$4prep"));
        assert!(!of("7hydrate"));
        assert!(!is_never_run("memcpy"));
    }
}
