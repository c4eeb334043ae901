//! One's own account: theme, password, sessions.

use crate::{
    data::people::{AccountPage, Theme, read_account},
    frame::{Frame, Notices, ProblemLine},
    words,
};
use contract::api::Session;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

#[component]
pub fn Account() -> impl IntoView {
    let page = Resource::new(|| (), |()| read_account());
    let query = use_query_map();
    view! {
        <Title text="Account"/>
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => {
                        let saved = match query.read_untracked().get("saved").as_deref() {
                            Some("password") => {
                                Some("Password changed. Your other sessions are signed out.")
                            }
                            Some("sessions") => Some("Signed out everywhere else."),
                            _ => None,
                        };
                        content(page, saved)
                    }
                    Err(error) => super::job::failed(&error).into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

fn content(page: AccountPage, saved: Option<&'static str>) -> AnyView {
    let AccountPage { since, role, created_at, sessions, theme } = page;
    let email = since.email.clone();
    let facts = format!("{}, since {}", words::role(role), words::day(created_at));
    view! {
        <Frame since=since>
            <h1>"Account"</h1>
            {saved.map(|words| view! { <p class="good" role="status">{words}</p> })}
            <ProblemLine/>
            <p><strong>{email.clone()}</strong> " " <small>{facts}</small></p>
            <div class="pair">
                {password(email)}
                <div>
                    {themes(theme)}
                    <Notices/>
                </div>
            </div>
            {list(sessions)}
        </Frame>
    }
    .into_any()
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
