//! A request that was not done, told to whoever asked in a browser. Rendered
//! on the server alone.

use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};

/// What is told.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub title: &'static str,
    /// What happened, and what to do.
    pub words: String,
    /// The page that it was asked from; empty: the one that was asked for.
    pub back: String,
}

/// The whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let Trouble { title, words, back } = expect_context::<Trouble>();
    let link = if back.is_empty() { "Try again" } else { "Back to the page" };
    let body = view! {
        <Title text=title/>
        <main class="door">
            <p class="brand">"Meanwhile"</p>
            <h1>{title}</h1>
            <p role="alert" data-testid="problem">{words}</p>
            <p class="ways">
                <a href=back>{link}</a>
                <a href="/">"Launch"</a>
            </p>
        </main>
    };
    crate::document((), body.into_any())
}
