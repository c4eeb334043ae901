//! What is around every page: rail, link, bell, account, toast.

use crate::{data::Since, live::Live};
use leptos::prelude::*;

/// A page of a signed-in person.
#[component]
pub fn Frame(since: Since, sandbox: bool, children: Children) -> impl IntoView {
    let live = expect_context::<Live>();
    live.begin(&since);
    let unread = move || live.unread.get();
    view! {
        <a class="skip" href="#main">"Skip to the page"</a>
        <header class="top">
            <a class="brand" href="/">"Meanwhile"</a>
            {sandbox
                .then(|| view! { <span class="mark" title="The channels are stand-ins">"Sandbox"</span> })}
            <span class="grow"></span>
            <span
                class="link"
                data-testid="connection"
                data-link=move || live.link.get().words()
                role="status"
            >
                {move || live.link.get().words()}
            </span>
            <a class="bell" href="/inbox">
                "Inbox "
                <span data-testid="bell-count" class="count" class:none=move || unread() == 0>
                    {unread}
                </span>
            </a>
            <span class="account">{since.email.clone()}</span>
            <form method="post" action="/sign-out">
                <button class="quiet">"Sign out"</button>
            </form>
        </header>
        <nav class="rail" aria-label="Pages">
            <a href="/">"Launch"</a>
            <a href="/jobs">"Jobs"</a>
            <a href="/inbox">"Inbox"</a>
        </nav>
        <main id="main">{children()}</main>
        <div class="toasts" aria-live="polite">
            {move || {
                live.toast
                    .get()
                    .map(|told| {
                        view! {
                            <p class="toast" data-testid="toast">
                                <a href=format!("/jobs/{}", told.job)>{told.title}</a>
                                " "
                                {told.text}
                                <button
                                    class="quiet"
                                    on:click=move |_| live.toast.set(None)
                                    aria-label="Dismiss"
                                >
                                    "✕"
                                </button>
                            </p>
                        }
                    })
            }}
        </div>
    }
}

/// What went wrong with the last form, from the address.
#[component]
pub fn ProblemLine() -> impl IntoView {
    let query = leptos_router::hooks::use_query_map();
    move || {
        query.read().get("problem").map(
            |words| view! { <p class="problem" role="alert" data-testid="problem">{words}</p> },
        )
    }
}
