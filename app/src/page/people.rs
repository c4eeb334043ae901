//! Page of all accounts, for admins: invite, reset the password, change the role, disable.

mod accounts;

use crate::server::{RequestContext, server_error};
use accounts::AccountList;
use contract::api::Role;
use leptos::prelude::*;

/// One-time link that was just created. It is shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    pub url: String,
    pub email: String,
    /// Whether the link creates an account; otherwise it resets a password.
    pub is_invitation: bool,
    /// Time in UTC milliseconds.
    pub expires_at: i64,
}

/// Renders the accounts; `None` if the user is not an admin.
///
/// # Errors
/// Fails if the database does.
pub async fn content(request: &RequestContext) -> Result<Option<AnyView>, ServerFnError> {
    let RequestContext { engine, identity } = request;
    if identity.role != Role::Admin {
        return Ok(None);
    }
    let store = engine.store();
    let limit = i64::try_from(accounts::MAX_ACCOUNTS).unwrap_or(i64::MAX);
    let accounts = AccountList {
        current_user: identity.user,
        users: store.accounts.users(limit).await.map_err(server_error)?,
        invitations: store.accounts.invitations().await.map_err(server_error)?,
        new_link: use_context::<crate::BrowserState>().and_then(|browser| browser.new_link),
    };
    Ok(Some(accounts::account_list(accounts)))
}
