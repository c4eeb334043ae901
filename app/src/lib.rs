//! The pages: components, routes, server functions.
#![recursion_limit = "512"]

use leptos::prelude::*;

/// What the page's head refers to.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    pub js: String,
    pub wasm: String,
    pub css: String,
    pub sandbox: bool,
    pub first_visit: bool,
}

/// Who looks at the page.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug)]
pub struct Viewer(pub Option<engine::store::Identity>);

#[component]
pub fn App() -> impl IntoView {
    view! { <p>"Meanwhile"</p> }
}

#[cfg(feature = "ssr")]
pub fn shell() -> impl IntoView {
    view! { <App/> }
}
