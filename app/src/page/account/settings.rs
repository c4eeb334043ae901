//! What can be set and ended in one's own account.

use crate::{data::people::Theme, fragment::Fragment, words};
use contract::api::{Session, User};
use leptos::prelude::*;

pub fn fragment(user: &User, sessions: Vec<Session>, theme: Theme) -> Fragment {
    let facts = format!("{}, since {}", words::role(user.role), words::day(user.created_at));
    let email = user.email.clone();
    Fragment::of(view! {
        <p><strong>{email.clone()}</strong> " " <small>{facts}</small></p>
        <div class="pair">
            {password(email)}
            {themes(theme)}
        </div>
        {list(sessions)}
    })
}

fn themes(current: Theme) -> AnyView {
    let choices = Theme::ALL
        .into_iter()
        .map(|theme| {
            let name = match theme {
                Theme::System => "As the device",
                Theme::Light => "Light",
                Theme::Dark => "Dark",
            };
            let pressed = if theme == current { "true" } else { "false" };
            view! { <button name="theme" value=theme.as_str() aria-pressed=pressed>{name}</button> }
        })
        .collect_view();
    view! {
        <section class="panel" aria-labelledby="theme">
            <h2 id="theme">"Theme"</h2>
            <form class="segments" method="post" action="/account/theme">{choices}</form>
            <p><small>"Kept in this browser."</small></p>
        </section>
    }
    .into_any()
}

fn password(email: String) -> AnyView {
    view! {
        <section class="panel" aria-labelledby="password">
            <h2 id="password">"Change password"</h2>
            <form method="post" action="/account/password">
                // Password managers ask whose it is.
                <input type="email" value=email autocomplete="username" hidden readonly/>
                <label>
                    "Current password"
                    <input type="password" name="old" required autocomplete="current-password"/>
                </label>
                <label>
                    "New password, at least 10 characters"
                    <input
                        type="password"
                        name="new"
                        required
                        minlength="10"
                        autocomplete="new-password"
                    />
                </label>
                <button class="main">"Change it"</button>
            </form>
            <p><small>"Your other sessions are signed out."</small></p>
        </section>
    }
    .into_any()
}

fn list(sessions: Vec<Session>) -> AnyView {
    let others = sessions.iter().any(|session| !session.own);
    let lines = sessions
        .into_iter()
        .map(|session| {
            let name = if session.own { "This browser" } else { "Another browser" };
            view! {
                <li data-testid="session">
                    <strong>{name}</strong>
                    <small>"signed in " {words::minute(session.created_at)}</small>
                    <small>"last seen " {words::minute(session.seen_at)}</small>
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 id="sessions">"Where you are signed in"</h2>
        <ul class="people sessions" aria-labelledby="sessions">{lines}</ul>
        <div class="buttons">
            {others
                .then(|| {
                    view! {
                        <form method="post" action="/account/sessions/end">
                            <button>"Sign out everywhere else"</button>
                        </form>
                    }
                })}
            <form method="post" action="/sign-out">
                <button>"Sign out here"</button>
            </form>
        </div>
    }
    .into_any()
}
