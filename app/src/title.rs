//! The document's title.
//!
//! The library writes a title into the head as it is, after the page was
//! rendered and outside of the reactive owner of its request. So the text is
//! escaped here, and the formatter holds its signal itself: looking one up at
//! that time would find the one of another request.

use crate::live::{Live, unread::Unread};
use leptos::prelude::*;

/// Sets the title of a page. `text` may be what anybody entered.
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
pub fn UnreadInTitle(live: Live) -> impl IntoView {
    let unread = live.unread_signal();
    let format = move |text: String| match unread.with(Unread::count) {
        0 => text,
        unread => format!("({unread}) {text}"),
    };
    #[allow(clippy::disallowed_methods)]
    let formatter = view! { <leptos_meta::Title formatter=format text="Meanwhile"/> };
    formatter
}
