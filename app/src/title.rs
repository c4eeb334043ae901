//! The document's title.
//!
//! `leptos_meta` writes a title into the head without escaping it, after the page was
//! rendered and outside the reactive owner of its request. Therefore the text is
//! escaped here, and the formatter owns its signal: looking it up at that time
//! would find the signal of another request.

use crate::live::{LiveState, unread::Unread};
use leptos::prelude::*;

/// Sets the title of a page. `text` may be untrusted input.
#[component]
pub fn Title(#[prop(into)] text: String) -> impl IntoView {
    // A browser's `document.title` takes text; the server writes HTML.
    #[cfg(feature = "ssr")]
    let text = html_escape::encode_text(&text).into_owned();
    #[allow(clippy::disallowed_methods)]
    let title = view! { <leptos_meta::Title text=text/> };
    title
}

/// Puts the number of unread notifications before the titles of all pages.
#[component]
pub fn UnreadInTitle(live: LiveState) -> impl IntoView {
    let unread = live.unread_signal();
    let format = move |text: String| match unread.with(Unread::count) {
        0 => text,
        unread => format!("({unread}) {text}"),
    };
    #[allow(clippy::disallowed_methods)]
    let formatter = view! { <leptos_meta::Title formatter=format text="Meanwhile"/> };
    formatter
}
