//! Nothing is here.

use leptos::prelude::*;

#[component]
pub fn Missing() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <main class="door">
            <h1>"There is nothing here"</h1>
            <p>"The address is wrong, or what was here belongs to someone else."</p>
            <p><a href="/">"Go to Launch"</a></p>
        </main>
    }
}
