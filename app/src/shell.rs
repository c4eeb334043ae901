//! The frame of every page: top bar, navigation rail, notifications and help.

#[cfg(feature = "ssr")]
pub mod help;
mod keyboard_shortcuts;
mod notification_settings;
mod toasts;
mod top_bar_menus;

pub use keyboard_shortcuts::listen_for_shortcuts;
pub use notification_settings::NotificationSettings;

use crate::{
    live::{ConnectionStatus, LiveState},
    page_context::PageContext,
};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// Page of a signed-in user.
#[component]
pub fn PageShell(context: PageContext, children: Children) -> impl IntoView {
    let live = expect_context::<LiveState>();
    live.start_from_page(&context);
    view! {
        <a class="skip-link" href="#main">"Skip to the content"</a>
        {top_bar(live, &context)}
        <nav class="nav-rail" aria-label="Pages">
            <NavLink to="/" name="Launch" drawing="M8 13V3M4 7l4-4 4 4"/>
            <NavLink to="/jobs" name="Jobs" drawing="M3 4h10M3 8h10M3 12h6"/>
            <NavLink to="/inbox" name="Inbox" drawing="M2 9l2-6h8l2 6v4H2zM2 9h4l1 2h2l1-2h4"/>
            <NavLink to="/machines" name="Machines" drawing="M3 2.5h10v4.5H3zM3 9h10v4.5H3zM5.5 4.8h.01M5.5 11.2h.01"/>
            <NavLink to="/channels" name="Channels" drawing="M8 13v-3M3 3.5h10v3H3zM5.5 6.5L8 10l2.5-3.5"/>
            <NavLink to="/flows" name="Flows" drawing="M3 3.5h3v3H3zM10 3.5h3v3h-3zM10 10h3v3h-3zM6 5h4M7.5 5v6.5H10"/>
            {context
                .is_admin
                .then(|| {
                    view! {
                        <NavLink
                            to="/operations"
                            name="Operations"
                            drawing="M2 13h12M4 13V8M8 13V3M12 13V6"
                        />
                        <NavLink
                            to="/people"
                            name="People"
                            drawing="M6 7.5a2.3 2.3 0 100-4.6 2.3 2.3 0 000 4.6zM1.6 13c.3-2.2 2-3.4 4.4-3.4s4.1 1.2 4.4 3.4M10.6 3.2a2.3 2.3 0 010 4.1M12 9.9c1.4.5 2.2 1.5 2.4 3.1"
                        />
                    }
                })}
            <button class="narrow-only" popovertarget="more-pages">
                <Icon drawing="M3.5 8h.01M8 8h.01M12.5 8h.01"/>
                "More"
            </button>
        </nav>
        {more_pages(context.is_admin)}
        <main id="main" tabindex="-1">
            {connection_alert(live)}
            <toasts::MissedBanner/>
            <notification_settings::NotificationOffer/>
            {children()}
        </main>
        <toasts::Toasts/>
    }
}

/// The pages that a phone's bar has no room for, as a menu.
fn more_pages(is_admin: bool) -> AnyView {
    view! {
        <nav class="menu more-pages" id="more-pages" popover="auto" aria-label="More pages">
            <a href="/channels">"Channels"</a>
            <a href="/flows">"Flows"</a>
            {is_admin.then(|| view! { <a href="/operations">"Operations"</a> <a href="/people">"People"</a> })}
        </nav>
    }
    .into_any()
}

fn top_bar(live: LiveState, context: &PageContext) -> AnyView {
    let unread = move || live.unread_count();
    let inbox = move || match live.unread_count() {
        0 => "Inbox".to_owned(),
        n => format!("Inbox, {n} unread"),
    };
    let email = context.email.clone();
    view! {
        <header class="top-bar">
            <a class="brand" href="/">"Meanwhile"</a>
            {context
                .is_sandbox
                .then(|| view! { <span class="sandbox-badge" title="The channels are simulated">"Sandbox"</span> })}
            <form class="site-search" role="search" action="/search">
                <Icon drawing=SEARCH_ICON/>
                <input
                    type="search"
                    id="site-search"
                    name="q"
                    placeholder="Find a SKU or a job"
                    aria-label="Find a SKU or a job"
                    autocomplete="off"
                />
                <kbd aria-hidden="true">"/"</kbd>
            </form>
            <span class="spacer"></span>
            <span
                class="connection-status"
                data-testid="connection"
                data-connection=move || live.connection.get().label()
                title=move || live.connection.get().hint()
                role="status"
            >
                <span class="connection-text">{move || live.connection.get().label()}</span>
            </span>
            <a class="icon-button narrow-only" href="/search" aria-label="Search">
                <Icon drawing=SEARCH_ICON/>
            </a>
            <a class="icon-button" href="/inbox" aria-label=inbox title="Inbox">
                <Icon drawing="M4 11V7a4 4 0 018 0v4l1.2 1.6H2.8zM6.8 14.2h2.4"/>
                <span data-testid="unread-count" class="unread-badge" class:is-zero=move || unread() == 0>
                    {move || if unread() > 99 { "99+".to_owned() } else { unread().to_string() }}
                </span>
            </a>
            {top_bar_menus::theme_switch(context.theme)}
            {top_bar_menus::account_menu(email)}
        </header>
    }
    .into_any()
}

const SEARCH_ICON: &str = "M7 12a5 5 0 100-10 5 5 0 000 10zM10.7 10.7L14 14";

/// Says why the page gets no live updates.
fn connection_alert(live: LiveState) -> AnyView {
    view! {
        <div role="alert" data-testid="connection-alert">
            {move || match live.connection.get() {
                ConnectionStatus::Reconnecting | ConnectionStatus::Connected => None,
                ConnectionStatus::Offline => {
                    let words = "This device is offline. This page may be out of date; it updates automatically when you are back online.";
                    Some(view! { <p class="warning">{words}</p> }.into_any())
                }
                ConnectionStatus::SignedOut => {
                    Some(
                        view! {
                            <p class="problem">
                                "You are signed out, so this page gets no updates. "
                                <a href="/sign-in" rel="external">"Sign in again"</a>
                            </p>
                        }
                            .into_any(),
                    )
                }
                ConnectionStatus::Refused => {
                    Some(view! { <p class="problem">{ConnectionStatus::Refused.hint()}</p> }.into_any())
                }
            }}
        </div>
    }
    .into_any()
}

/// Link in the navigation rail. Its shortcut is `g` and then the first letter of its name.
#[component]
fn NavLink(to: &'static str, name: &'static str, drawing: &'static str) -> impl IntoView {
    let path = use_location().pathname;
    let here = move || {
        path.with(|path| {
            // The page of a job belongs to the list of jobs.
            let within =
                to != "/" && path.strip_prefix(to).is_some_and(|rest| rest.starts_with('/'));
            (path == to || within).then_some("page")
        })
    };
    view! {
        <a href=to aria-current=here data-shortcut=name[..1].to_ascii_lowercase()>
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

/// Error of the last submitted form, from the URL.
#[component]
pub fn FlashAlert() -> impl IntoView {
    let query = leptos_router::hooks::use_query_map();
    move || {
        query.read().get("problem").map(
            |words| view! { <p class="problem" role="alert" data-testid="problem">{words}</p> },
        )
    }
}
