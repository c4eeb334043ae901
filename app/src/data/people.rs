//! Accounts: those that admins manage, and one's own.

use super::Since;
use contract::{
    UserId,
    api::{Invitation, Role, Session, User},
};
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whoever looks.
    pub own: UserId,
    /// The first [`MOST`], by address.
    pub users: Vec<User>,
    pub invitations: Vec<Invitation>,
    pub link: Option<NewLink>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountPage {
    pub since: Since,
    pub role: Role,
    /// UTC ms.
    pub created_at: i64,
    pub sessions: Vec<Session>,
    pub theme: Theme,
}

/// Accounts that the page shows.
pub const MOST: usize = 500;

/// `None`, and 404: whoever looks is no admin.
#[server]
pub async fn read_people() -> Result<Option<PeoplePage>, ServerFnError> {
    use super::server;
    let (engine, who) = server::viewer()?;
    if who.role != Role::Admin {
        expect_context::<leptos_axum::ResponseOptions>()
            .set_status(axum::http::StatusCode::NOT_FOUND);
        return Ok(None);
    }
    let since = server::since(&engine, &who).await?;
    let store = engine.store();
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    Ok(Some(PeoplePage {
        since,
        own: who.user,
        users: store.users(most).await.map_err(server::error)?,
        invitations: store.invitations().await.map_err(server::error)?,
        link: use_context::<crate::Browser>().and_then(|browser| browser.new_link),
    }))
}

#[server]
pub async fn read_account() -> Result<AccountPage, ServerFnError> {
    use super::server;
    let (engine, who) = server::viewer()?;
    let since = server::since(&engine, &who).await?;
    let browser = expect_context::<crate::Browser>();
    let store = engine.store();
    let user = store.user(who.user).await.map_err(server::error)?;
    Ok(AccountPage {
        since,
        role: user.role,
        created_at: user.created_at,
        sessions: store.sessions(who.user, &browser.session).await.map_err(server::error)?,
        theme: browser.theme,
    })
}
