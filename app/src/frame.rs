//! What is around every page: rail, link, bell, account, toast.

use crate::{data::Since, live::Live};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// A page of a signed-in person.
#[component]
pub fn Frame(since: Since, children: Children) -> impl IntoView {
    let live = expect_context::<Live>();
    live.begin(&since);
    let unread = move || live.unread();
    let sandbox = since.sandbox;
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
                title=move || live.link.get().hint()
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
            <a class="me" href="/account" aria-label=format!("Account: {}", since.email)>
                <Icon drawing="M8 8.2a2.7 2.7 0 100-5.4 2.7 2.7 0 000 5.4zM2.8 13.5c.5-2.4 2.6-3.6 5.2-3.6s4.7 1.2 5.2 3.6"/>
                <span class="account">{since.email.clone()}</span>
            </a>
            <form class="out" method="post" action="/sign-out">
                <button class="quiet">"Sign out"</button>
            </form>
        </header>
        <nav class="rail" aria-label="Pages">
            <Place to="/" name="Launch" drawing="M8 13V3M4 7l4-4 4 4"/>
            <Place to="/jobs" name="Jobs" drawing="M3 4h10M3 8h10M3 12h6"/>
            <Place to="/machines" name="Machines" drawing="M3 2.5h10v4.5H3zM3 9h10v4.5H3zM5.5 4.8h.01M5.5 11.2h.01"/>
            <Place to="/inbox" name="Inbox" drawing="M2 9l2-6h8l2 6v4H2zM2 9h4l1 2h2l1-2h4"/>
            {since
                .admin
                .then(|| {
                    view! {
                        <Place
                            to="/people"
                            name="People"
                            drawing="M6 7.5a2.3 2.3 0 100-4.6 2.3 2.3 0 000 4.6zM1.6 13c.3-2.2 2-3.4 4.4-3.4s4.1 1.2 4.4 3.4M10.6 3.2a2.3 2.3 0 010 4.1M12 9.9c1.4.5 2.2 1.5 2.4 3.1"
                        />
                    }
                })}
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

/// A way of the rail.
#[component]
fn Place(to: &'static str, name: &'static str, drawing: &'static str) -> impl IntoView {
    let path = use_location().pathname;
    let here = move || {
        path.with(|path| {
            // A job's page is one of the jobs'.
            let within =
                to != "/" && path.strip_prefix(to).is_some_and(|rest| rest.starts_with('/'));
            (path == to || within).then_some("page")
        })
    };
    view! {
        <a href=to aria-current=here>
            <Icon drawing=drawing/>
            {name}
        </a>
    }
}

#[component]
fn Icon(drawing: &'static str) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d=drawing></path>
        </svg>
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
