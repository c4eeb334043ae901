//! Errors that are shown if a page or a part of it could not be loaded.

use leptos::prelude::*;

/// Returns the text to show for an error.
pub fn error_message(error: &ServerFnError) -> String {
    match error {
        ServerFnError::ServerError(words) => words.clone(),
        _ => "The server did not answer. Try again soon.".into(),
    }
}

/// Renders the error of a whole page.
pub fn page_error(error: &ServerFnError) -> AnyView {
    let words = error_message(error);
    view! {
        <main class="auth-card">
            <h1>"This page could not be loaded"</h1>
            <p role="alert">{words}</p>
            <p><a href="" rel="external">"Try again"</a></p>
        </main>
    }
    .into_any()
}

/// Renders the error of a part of a page.
pub fn section_error(error: &ServerFnError) -> AnyView {
    view! { <p class="problem" role="alert">{error_message(error)}</p> }.into_any()
}
