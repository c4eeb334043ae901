//! What a person reads where something could not be read.

use leptos::prelude::*;

/// What a person reads where the server could not answer.
pub fn sentence(error: &ServerFnError) -> String {
    match error {
        ServerFnError::ServerError(words) => words.clone(),
        _ => "The server did not answer. Try again soon.".into(),
    }
}

/// The page could not be read.
pub fn failed(error: &ServerFnError) -> AnyView {
    let words = sentence(error);
    view! {
        <main class="door">
            <h1>"This page could not be read"</h1>
            <p role="alert">{words}</p>
            <p><a href="" rel="external">"Try again"</a></p>
        </main>
    }
    .into_any()
}

/// A part of a page could not be read.
pub fn problem(error: &ServerFnError) -> AnyView {
    view! { <p class="problem" role="alert">{sentence(error)}</p> }.into_any()
}
