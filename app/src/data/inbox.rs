//! What the user was told.

use super::{
    Since,
    ask::{Ask, Question},
};
use contract::api::Inbox;
#[cfg(feature = "ssr")]
use leptos::prelude::ServerFnError;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxPage {
    pub since: Since,
    pub inbox: Inbox,
}

pub const fn ask_inbox() -> Ask<InboxPage> {
    Ask::new(Question::Inbox)
}

#[cfg(feature = "ssr")]
pub(super) async fn inbox(asker: super::server::Asker) -> Result<InboxPage, ServerFnError> {
    use super::server;
    let since = server::since(&asker).await?;
    let inbox = asker.engine.store().inbox(asker.who.user, 100).await.map_err(server::error)?;
    Ok(InboxPage { since, inbox })
}
