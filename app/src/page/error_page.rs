//! Error page for a request that failed. It is rendered on the server only.

use crate::title::Title;
use leptos::prelude::*;
use leptos_meta::provide_meta_context;

/// Content of the error page.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    pub title: &'static str,
    /// What happened, and what to do.
    pub message: String,
    /// URL and text of a link to go on with.
    pub link: Option<(String, &'static str)>,
}

/// Renders the whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let ErrorPage { title, message: words, link: way } = expect_context::<ErrorPage>();
    let way = way.map(|(href, name)| view! { <a href=href>{name}</a> });
    let body = view! {
        <Title text=title/>
        <main class="auth-card">
            <p class="brand">"Meanwhile"</p>
            <h1>{title}</h1>
            <p role="alert" data-testid="problem">{words}</p>
            <p class="page-links">
                {way}
                <a href="/">"Launch"</a>
                <a href="/jobs">"Jobs"</a>
            </p>
        </main>
    };
    crate::html_document((), body.into_any())
}
