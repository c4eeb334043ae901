//! Page for a URL that does not exist.

use leptos::prelude::*;

#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <main class="auth-card">
            <p class="brand">"Meanwhile"</p>
            <h1>"There is nothing here"</h1>
            <p>"The address is wrong, or what was here belongs to someone else."</p>
            <form class="buttons" role="search" action="/search">
                <input type="search" name="q" aria-label="Find a SKU or a job" autocomplete="off"/>
                <button>"Find a SKU or a job"</button>
            </form>
            <p class="page-links">
                <a href="/">"Launch"</a>
                <a href="/jobs">"Jobs"</a>
                <a href="/inbox">"Inbox"</a>
            </p>
        </main>
    }
    .into_any()
}
