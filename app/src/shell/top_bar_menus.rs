//! Theme switch and account menu. They consist of popovers and forms, so that both work
//! without scripts.

use super::Icon;
use crate::theme::Theme;
use leptos::prelude::*;

/// Button that switches from the device's theme to light, to dark, and back.
pub fn theme_switch(now: Theme) -> AnyView {
    let (next, is, becomes, drawing) = match now {
        Theme::System => (
            Theme::Light,
            "as the device",
            "light",
            "M8 2.5a5.5 5.5 0 100 11zM8 2.5a5.5 5.5 0 010 11M8 5.5h3M8 8h4.5M8 10.5h3",
        ),
        Theme::Light => (
            Theme::Dark,
            "light",
            "dark",
            "M8 11a3 3 0 100-6 3 3 0 000 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
        ),
        Theme::Dark => (
            Theme::System,
            "dark",
            "the device's",
            "M13 9.6A5.5 5.5 0 016.4 3a5.5 5.5 0 106.6 6.6z",
        ),
    };
    let words = format!("Theme: {is}. Change to {becomes}");
    view! {
        <form class="theme" method="post" action="/account/theme">
            <button
                class="icon-button"
                name="theme"
                value=next.as_str()
                aria-label=words.clone()
                title=words
            >
                <Icon drawing=drawing/>
            </button>
        </form>
    }
    .into_any()
}

pub fn account_menu(email: String) -> AnyView {
    view! {
        <button class="icon-button" popovertarget="account-menu" aria-label=format!("Your menu: {email}") title=email.clone()>
            <Icon drawing="M8 8.2a2.7 2.7 0 100-5.4 2.7 2.7 0 000 5.4zM2.8 13.5c.5-2.4 2.6-3.6 5.2-3.6s4.7 1.2 5.2 3.6"/>
        </button>
        <div class="menu" id="account-menu" popover="auto">
            <p>{email}</p>
            <a href="/account">"Account"</a>
            <button type="button" popovertarget="help">
                "Keyboard and states"
                <kbd>"?"</kbd>
            </button>
            <form method="post" action="/sign-out">
                <button>"Sign out"</button>
            </form>
        </div>
    }
    .into_any()
}
