//! Removes functions from the wasm that never run but that the linker can't remove.

use anyhow::Context;
use std::{fs, path::Path};
use walrus::{FunctionBuilder, FunctionKind, Module};

/// Asynchronous hydration, which Leptos needs only for islands and lazily loaded
/// routes. Every `AnyView` points to its own version, so the linker can't know that
/// nobody calls it; with everything it calls, it is a fifth of the wasm.
const UNREACHABLE_FUNCTION: &str = "13hydrate_async";
/// Suffix of the mangled name of an async function's body.
const ASYNC_BODY_SUFFIX: &str = "28_$u7b$$u7b$closure$u7d$$u7d$";

/// Reads `wasm` and replaces each [`UNREACHABLE_FUNCTION`] by a trap, so that
/// `wasm-opt` can remove everything that only those functions call.
///
/// Only the functions and their bodies become traps, not what is nested in them:
/// the compiler merges identical functions, so a helper of theirs may also be a
/// helper of the hydration that does run.
///
/// # Errors
/// The file can't be read, is no wasm, or has no such function. The last means that
/// Leptos has changed and this module needs an update.
pub fn run(wasm: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(wasm).with_context(|| format!("can't read {}", wasm.display()))?;
    let mut module = Module::from_buffer(&bytes)?;
    let unreachable: Vec<_> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(is_unreachable))
        .collect();
    anyhow::ensure!(!unreachable.is_empty(), "the wasm has no function {UNREACHABLE_FUNCTION}");
    for id in unreachable {
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

/// Whether a mangled name, such as `_ZN…13hydrate_async17h0123456789abcdefE`, is that
/// of an [`UNREACHABLE_FUNCTION`] or its body.
fn is_unreachable(name: &str) -> bool {
    const HASH: usize = "17h0123456789abcdefE".len();
    let Some(path) = name.len().checked_sub(HASH).and_then(|end| name.get(..end)) else {
        return false;
    };
    path.strip_suffix(ASYNC_BODY_SUFFIX).unwrap_or(path).ends_with(UNREACHABLE_FUNCTION)
}

#[cfg(test)]
mod tests {
    use super::is_unreachable;

    #[test]
    fn only_the_function_and_its_body_are_trimmed() {
        let is_unreachable_path =
            |path: &str| is_unreachable(&format!("_ZN6tachys{path}17h7d04e3d5f51c78c1E"));
        assert!(is_unreachable_path("13hydrate_async"));
        assert!(is_unreachable_path("13hydrate_async28_$u7b$$u7b$closure$u7d$$u7d$"));
        assert!(!is_unreachable_path("13hydrate_async28_$u7b$$u7b$closure$u7d$$u7d$4prep"));
        assert!(!is_unreachable_path("7hydrate"));
        assert!(!is_unreachable("memcpy"));
    }
}
