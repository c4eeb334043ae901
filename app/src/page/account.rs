//! Page of the user's own account: theme, password, sessions, API tokens.

mod settings;

use crate::server::{RequestContext, server_error};
use leptos::prelude::*;
use settings::AccountSettings;

/// Renders the settings, sessions and API tokens of the user's own account. `saved` is what the
/// form that was just submitted has changed.
///
/// # Errors
/// Fails if the database does.
pub async fn content(
    request: &RequestContext,
    saved: Option<&str>,
) -> Result<AnyView, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let browser = expect_context::<crate::BrowserState>();
    let store = engine.store();
    let settings = AccountSettings {
        user: store.accounts.user(identity.user).await.map_err(server_error)?,
        sessions: store
            .accounts
            .sessions(identity.user, &browser.session_hash)
            .await
            .map_err(server_error)?,
        tokens: store.accounts.tokens(identity.user).await.map_err(server_error)?,
        new_token: browser.new_token,
        theme: browser.theme,
        now: store.database.now_ms(),
    };
    let saved = saved_message(saved);
    let view = view! {
        {saved.map(|words| view! { <p class="success" role="status">{words}</p> })}
        {settings::account_settings(settings)}
    };
    Ok(view.into_any())
}

fn saved_message(saved: Option<&str>) -> Option<&'static str> {
    match saved {
        Some("password") => Some("Password changed. Your other sessions are signed out."),
        Some("token") => Some("Token revoked."),
        Some("sessions") => Some("Signed out everywhere else."),
        _ => None,
    }
}
