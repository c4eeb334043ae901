//! Settings, sessions and API tokens of the user's own account.

use crate::{labels, theme::Theme};
use contract::api::{DEFAULT_TOKEN_DAYS, Role, Session, Token, TokenScope, User};
use leptos::prelude::*;

#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub user: User,
    pub sessions: Vec<Session>,
    pub tokens: Vec<Token>,
    /// Secret of an API token that was just created. It is shown once.
    pub new_token: Option<String>,
    pub theme: Theme,
    /// Time of the database, by which tokens expire.
    pub now: i64,
}

pub fn account_settings(settings: AccountSettings) -> AnyView {
    let AccountSettings { user, sessions, tokens, new_token, theme, now } = settings;
    let facts =
        format!("{}, since {}", labels::role_name(user.role), labels::date(user.created_at));
    let (email, role) = (user.email, user.role);
    view! {
        {new_token.map(new_token_panel)}
        <p><strong>{email.clone()}</strong> " " <small>{facts}</small></p>
        <div class="two-columns">
            {password_form(email.clone())}
            {theme_form(theme)}
        </div>
        {session_list(sessions)}
        {api_tokens(email, role, tokens, now)}
    }
    .into_any()
}

fn theme_form(current: Theme) -> AnyView {
    let choices = Theme::ALL
        .into_iter()
        .map(|theme| {
            let name = match theme {
                Theme::System => "Same as the device",
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
            <form class="segmented-control" method="post" action="/account/theme">{choices}</form>
            <p><small>"Saved in this browser."</small></p>
        </section>
    }
    .into_any()
}

fn password_form(email: String) -> AnyView {
    view! {
        <section class="panel" aria-labelledby="password">
            <h2 id="password">"Change password"</h2>
            <form method="post" action="/account/password">
                // Password managers look for the user name.
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
                <label class="checkbox-label">
                    <input type="checkbox" name="tokens" value="revoke"/>
                    "Revoke my API tokens too"
                </label>
                <button class="primary">"Change password"</button>
            </form>
            <p><small>"Your other sessions are signed out."</small></p>
        </section>
    }
    .into_any()
}

fn session_list(sessions: Vec<Session>) -> AnyView {
    let others = sessions.iter().any(|session| !session.is_current);
    let lines = sessions
        .into_iter()
        .map(|session| {
            let name = if session.is_current { "This browser" } else { "Another browser" };
            view! {
                <li data-testid="session">
                    <strong>{name}</strong>
                    <small>"signed in " {labels::date_and_minute(session.created_at)}</small>
                    <small>"last seen " {labels::date_and_minute(session.seen_at)}</small>
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 id="sessions">"Where you are signed in"</h2>
        <ul class="account-list sessions" aria-labelledby="sessions">{lines}</ul>
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

fn new_token_panel(secret: String) -> AnyView {
    view! {
        <section class="panel one-time-secret" aria-labelledby="new-token">
            <h2 id="new-token">"New API token"</h2>
            <p>"Copy this token now: it is shown only once."</p>
            <input readonly value=secret aria-label="API token" data-testid="new-token"/>
            <p><small>"Click into it, then Ctrl+A and Ctrl+C (⌘ on a Mac)."</small></p>
        </section>
    }
    .into_any()
}

/// Choices of when a token expires: the value in the form, and its name.
const EXPIRY_CHOICES: [(&str, &str); 5] = [
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in a year"),
    ("never", "never"),
];

fn scope_name(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Read => "Read only",
        TokenScope::Launch => "Read and launch",
        TokenScope::Admin => "Everything, as an admin",
    }
}

/// The choices of a new token's scope and expiry.
fn token_terms(role: Role) -> AnyView {
    let scopes =
        TokenScope::ALL.iter().filter(|scope| **scope != TokenScope::Admin || role == Role::Admin);
    let scopes = scopes.map(|scope| {
        let is_default = *scope == TokenScope::Launch;
        view! { <option value=scope.as_str() selected=is_default>{scope_name(*scope)}</option> }
    });
    let default = DEFAULT_TOKEN_DAYS.to_string();
    let expiries = EXPIRY_CHOICES.map(|(value, name)| {
        let is_default = value == default;
        view! { <option value=value selected=is_default>{name}</option> }
    });
    view! {
        <label>
            "What it may do"
            <select name="scope">{scopes.collect_view()}</select>
        </label>
        <label>
            "Expires"
            <select name="expiry">{expiries.collect_view()}</select>
        </label>
    }
    .into_any()
}

/// API tokens, and the form that creates one.
fn api_tokens(email: String, role: Role, tokens: Vec<Token>, now: i64) -> AnyView {
    let lines = tokens
        .into_iter()
        .map(|token| {
            let used = match token.last_used_at {
                Some(at) => format!("last used {}", labels::date_and_minute(at)),
                None => "never used".into(),
            };
            let expires = match token.expires_at {
                None => "never expires".into(),
                Some(at) if at <= now => format!("expired {}", labels::date_and_minute(at)),
                Some(at) => format!("expires {}", labels::date_and_minute(at)),
            };
            let action = format!("/account/tokens/{}/revoke", token.id);
            let label = format!("Revoke the token {}", token.name);
            view! {
                <li data-testid="token">
                    <strong>{token.name}</strong>
                    <small>"created " {labels::date_and_minute(token.created_at)}</small>
                    <small>{used}</small>
                    <small>{scope_name(token.scope)}", "{expires}</small>
                    <form method="post" action=action>
                        <button class="subtle" aria-label=label>
                            "Revoke"
                        </button>
                    </form>
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 id="tokens">"API tokens"</h2>
        <p>
            "A program that has a token can do what you can do with jobs, as far as the token permits. A token stops working when it expires, when you revoke it, when your password is reset, and when your account is disabled. "
            <a href="/docs/api" rel="external">"API reference"</a>
        </p>
        <ul class="account-list sessions" aria-labelledby="tokens">{lines}</ul>
        <form class="form-row" method="post" action="/account/tokens">
            // Password managers look for the user name.
            <input type="email" value=email autocomplete="username" hidden readonly/>
            <label>
                "What it is for"
                <input type="text" name="name" required maxlength="80" autocomplete="off"/>
            </label>
            <label>
                "Your password"
                <input type="password" name="password" required autocomplete="current-password"/>
            </label>
            {token_terms(role)}
            <button>"Create a token"</button>
        </form>
    }
    .into_any()
}
