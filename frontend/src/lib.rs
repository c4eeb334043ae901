//! Entry point of the wasm: hydrates the pages that the server rendered.
#![recursion_limit = "512"]

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    let early_inputs = app::replay_input::EarlyInputs::collect();
    leptos::mount::hydrate_body(app::App);
    early_inputs.replay();
}
