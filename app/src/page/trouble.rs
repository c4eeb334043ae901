//! A request that was not done, told to whoever asked in a browser. Rendered
//! on the server alone.

use crate::title::Title;
use leptos::prelude::*;
use leptos_meta::provide_meta_context;

/// What is told.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub title: &'static str,
    /// What happened, and what to do.
    pub words: String,
    /// Where to go from here, and what that is.
    pub way: Option<(String, &'static str)>,
}

/// The whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let Trouble { title, words, way } = expect_context::<Trouble>();
    let way = way.map(|(href, name)| view! { <a href=href>{name}</a> });
    let body = view! {
        <Title text=title/>
        <main class="door">
            <p class="brand">"Meanwhile"</p>
            <h1>{title}</h1>
            <p role="alert" data-testid="problem">{words}</p>
            <p class="ways">
                {way}
                <a href="/">"Launch"</a>
                <a href="/jobs">"Jobs"</a>
            </p>
        </main>
    };
    crate::document((), body.into_any())
}
