//! Data of the page of all accounts, for admins, and of the user's own account.

#[cfg(feature = "ssr")]
use super::server::{self, RequestContext};
use super::{
    PageContext,
    query::{PageQuery, TypedQuery},
};
use crate::fragment::Fragment;
#[cfg(feature = "ssr")]
use crate::page::{account::settings, people::accounts};
#[cfg(feature = "ssr")]
use contract::api::Role;
#[cfg(feature = "ssr")]
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Colour theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// The device's theme.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Returns the theme of that name, or the device's theme if there is none.
    pub fn from_name(word: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.as_str() == word).unwrap_or_default()
    }
}

/// One-time link that was just created. It is shown once.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    pub url: String,
    pub email: String,
    /// Whether the link creates an account; otherwise it resets a password.
    pub is_invitation: bool,
    /// Time in UTC milliseconds.
    pub expires_at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeoplePage {
    pub context: PageContext,
    pub accounts: Fragment,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountPage {
    pub context: PageContext,
    pub settings: Fragment,
}

/// Maximum number of accounts on the page.
#[cfg(feature = "ssr")]
pub const MAX_ACCOUNTS: usize = 500;

/// Query of the accounts. It returns `None`, and status 404, if the user is not an admin.
pub const fn people_query() -> TypedQuery<Option<PeoplePage>> {
    TypedQuery::new(PageQuery::People)
}

#[cfg(feature = "ssr")]
pub(super) async fn people(request: RequestContext) -> Result<Option<PeoplePage>, ServerFnError> {
    if request.identity.role != Role::Admin {
        server::set_status(axum::http::StatusCode::NOT_FOUND);
        return Ok(None);
    }
    let context = server::page_context(&request).await?;
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let most = i64::try_from(MAX_ACCOUNTS).unwrap_or(i64::MAX);
    let accounts = accounts::fragment(accounts::AccountList {
        current_user: identity.user,
        users: store.users(most).await.map_err(server::server_error)?,
        invitations: store.invitations().await.map_err(server::server_error)?,
        link: use_context::<crate::BrowserState>().and_then(|browser| browser.new_link),
    });
    Ok(Some(PeoplePage { context, accounts }))
}

pub const fn account_query() -> TypedQuery<AccountPage> {
    TypedQuery::new(PageQuery::Account)
}

#[cfg(feature = "ssr")]
pub(super) async fn account(request: RequestContext) -> Result<AccountPage, ServerFnError> {
    let context = server::page_context(&request).await?;
    let RequestContext { engine, identity } = request;
    let browser = expect_context::<crate::BrowserState>();
    let store = engine.store();
    let user = store.user(identity.user).await.map_err(server::server_error)?;
    let sessions =
        store.sessions(identity.user, &browser.session_hash).await.map_err(server::server_error)?;
    let tokens = store.tokens(identity.user).await.map_err(server::server_error)?;
    let settings = settings::fragment(&user, sessions, tokens, browser.new_token, browser.theme);
    Ok(AccountPage { context, settings })
}
