//! The wasm entry: hydrates what the server rendered.
#![recursion_limit = "512"]

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    let early = app::early::Early::find();
    leptos::mount::hydrate_body(app::App);
    early.tell();
}
