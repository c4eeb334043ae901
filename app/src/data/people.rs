//! Accounts: those that admins manage, and one's own.

#[cfg(feature = "ssr")]
use super::server::{self, Asker};
use super::{
    Since,
    ask::{Ask, Question},
};
use crate::fragment::Fragment;
#[cfg(feature = "ssr")]
use crate::page::{account::settings, people::accounts};
#[cfg(feature = "ssr")]
use contract::api::Role;
#[cfg(feature = "ssr")]
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the device has it.
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

    /// The theme of that name; as the device has it where there is none.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.as_str() == word).unwrap_or_default()
    }
}

/// A one-time link that was just made; it is shown once.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    pub url: String,
    pub email: String,
    /// To a new account; else to a new password.
    pub invitation: bool,
    /// UTC ms.
    pub expires_at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeoplePage {
    pub since: Since,
    pub accounts: Fragment,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountPage {
    pub since: Since,
    pub settings: Fragment,
}

/// Accounts that the page shows.
#[cfg(feature = "ssr")]
pub const MOST: usize = 500;

/// `None`, and 404: whoever looks is no admin.
pub const fn ask_people() -> Ask<Option<PeoplePage>> {
    Ask::new(Question::People)
}

#[cfg(feature = "ssr")]
pub(super) async fn people(asker: Asker) -> Result<Option<PeoplePage>, ServerFnError> {
    if asker.who.role != Role::Admin {
        server::set_status(axum::http::StatusCode::NOT_FOUND);
        return Ok(None);
    }
    let since = server::since(&asker).await?;
    let Asker { engine, who } = asker;
    let store = engine.store();
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    let accounts = accounts::fragment(accounts::People {
        own: who.user,
        users: store.users(most).await.map_err(server::error)?,
        invitations: store.invitations().await.map_err(server::error)?,
        link: use_context::<crate::Browser>().and_then(|browser| browser.new_link),
    });
    Ok(Some(PeoplePage { since, accounts }))
}

pub const fn ask_account() -> Ask<AccountPage> {
    Ask::new(Question::Account)
}

#[cfg(feature = "ssr")]
pub(super) async fn account(asker: Asker) -> Result<AccountPage, ServerFnError> {
    let since = server::since(&asker).await?;
    let Asker { engine, who } = asker;
    let browser = expect_context::<crate::Browser>();
    let store = engine.store();
    let user = store.user(who.user).await.map_err(server::error)?;
    let sessions = store.sessions(who.user, &browser.session).await.map_err(server::error)?;
    let tokens = store.tokens(who.user).await.map_err(server::error)?;
    let settings = settings::fragment(&user, sessions, tokens, browser.new_token, browser.theme);
    Ok(AccountPage { since, settings })
}
