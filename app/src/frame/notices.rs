//! Notices of the browser's own: asked for from a button, told in words.

use crate::live::{Live, told::Background};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The button that asks; does nothing where scripts do not run.
#[component]
fn Ask(words: &'static str) -> impl IntoView {
    let live = expect_context::<Live>();
    let ask = move |_| {
        #[cfg(feature = "hydrate")]
        crate::live::browser::ask(live);
        let _ = live;
    };
    view! { <button type="button" on:click=ask>{words}</button> }
}

/// Offered right after a launch, where nobody was asked yet.
#[component]
pub fn Offer() -> impl IntoView {
    let live = expect_context::<Live>();
    let query = use_query_map();
    let open = Memo::new(move |_| {
        live.told.background.get() == Background::Unasked && query.read().get("accepted").is_some()
    });
    view! {
        <Show when=move || open.get()>
            <p class="offer">
                <Ask words="Tell me also when this tab is in the background"/>
            </p>
        </Show>
    }
    .into_any()
}

/// Whether this browser tells, and what to do about it.
#[component]
pub fn Notices() -> impl IntoView {
    let live = expect_context::<Live>();
    let state = live.told.background;
    view! {
        <section
            class="panel notices"
            aria-labelledby="notices"
            hidden=move || state.get() == Background::Unknown
        >
            <h2 id="notices">"Notices of this browser"</h2>
            <p data-testid="notices">{move || state.get().words()}</p>
            <Show when=move || state.get() == Background::Unasked>
                <Ask words="Tell me when a job ends"/>
            </Show>
        </section>
    }
    .into_any()
}
