//! What is around every page: top bar, rail, what one is told, help.

mod account;
#[cfg(feature = "ssr")]
pub mod help;
mod keys;
mod notices;
mod told;

pub use keys::listen;
pub use notices::Notices;

use crate::{
    data::Since,
    live::{Link, Live},
};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// A page of a signed-in person.
#[component]
pub fn Frame(since: Since, children: Children) -> impl IntoView {
    let live = expect_context::<Live>();
    live.begin(&since);
    view! {
        <a class="skip" href="#main">"Skip to the page"</a>
        {top(live, &since)}
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
        <main id="main" tabindex="-1">
            {cut_off(live)}
            <told::Missed/>
            <notices::Offer/>
            {children()}
        </main>
        <told::Toasts/>
    }
}

fn top(live: Live, since: &Since) -> AnyView {
    let unread = move || live.unread();
    let inbox = move || match live.unread() {
        0 => "Inbox".to_owned(),
        n => format!("Inbox, {n} unread"),
    };
    let email = since.email.clone();
    view! {
        <header class="top">
            <a class="brand" href="/">"Meanwhile"</a>
            {since
                .sandbox
                .then(|| view! { <span class="mark" title="The channels are stand-ins">"Sandbox"</span> })}
            <form class="find" role="search" action="/search">
                <Icon drawing=GLASS/>
                <input
                    type="search"
                    id="find"
                    name="q"
                    placeholder="Find a SKU or a job"
                    aria-label="Find a SKU or a job"
                    autocomplete="off"
                />
                <kbd aria-hidden="true">"/"</kbd>
            </form>
            <span class="grow"></span>
            <span
                class="link"
                data-testid="connection"
                data-link=move || live.link.get().words()
                title=move || live.link.get().hint()
                role="status"
            >
                <span class="words">{move || live.link.get().words()}</span>
            </span>
            <a class="tool narrow" href="/search" aria-label="Search">
                <Icon drawing=GLASS/>
            </a>
            <a class="tool bell" href="/inbox" aria-label=inbox title="Inbox">
                <Icon drawing="M4 11V7a4 4 0 018 0v4l1.2 1.6H2.8zM6.8 14.2h2.4"/>
                <span data-testid="bell-count" class="count" class:none=move || unread() == 0>
                    {move || if unread() > 99 { "99+".to_owned() } else { unread().to_string() }}
                </span>
            </a>
            {account::theme(since.theme)}
            {account::menu(email)}
        </header>
    }
    .into_any()
}

const GLASS: &str = "M7 12a5 5 0 100-10 5 5 0 000 10zM10.7 10.7L14 14";

/// What cuts the page off from the news, in words.
fn cut_off(live: Live) -> AnyView {
    view! {
        <div role="alert" data-testid="cut-off">
            {move || match live.link.get() {
                Link::Reconnecting | Link::Live => None,
                Link::Offline => {
                    let words = "This device is offline. What you see may be old; it comes up to date by itself.";
                    Some(view! { <p class="note">{words}</p> }.into_any())
                }
                Link::Ended => {
                    Some(
                        view! {
                            <p class="problem">
                                "You are signed out here, so this page hears no news. "
                                <a href="/sign-in" rel="external">"Sign in again"</a>
                            </p>
                        }
                            .into_any(),
                    )
                }
                Link::Refused => {
                    Some(view! { <p class="problem">{Link::Refused.hint()}</p> }.into_any())
                }
            }}
        </div>
    }
    .into_any()
}

/// A way of the rail. Its first letter behind `g` goes there by key.
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
        <a href=to aria-current=here data-key=name[..1].to_ascii_lowercase()>
            <Icon drawing=drawing/>
            {name}
        </a>
    }
}

#[component]
pub fn Icon(drawing: &'static str) -> impl IntoView {
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
