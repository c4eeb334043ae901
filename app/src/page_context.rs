//! Facts about the user and the journal that every page is rendered with.

use crate::theme::Theme;
use serde::{Deserialize, Serialize};

/// Position in the journal from which the stream continues, and facts about the user. It is
/// read before the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PageContext {
    pub epoch: String,
    pub seq: i64,
    pub unread_count: u32,
    pub email: String,
    /// Whether the user may manage accounts.
    pub is_admin: bool,
    /// Whether the upstreams are simulated.
    pub is_sandbox: bool,
    pub theme: Theme,
}

#[cfg(feature = "ssr")]
impl PageContext {
    /// Reads the context of the signed-in user.
    ///
    /// # Errors
    /// Fails if the database does.
    pub async fn load(
        request: &crate::server::RequestContext,
    ) -> Result<Self, leptos::prelude::ServerFnError> {
        use crate::server::server_error;
        let crate::server::RequestContext { engine, identity } = request;
        let store = engine.store();
        let seq = store.journal.journal_head(identity.user).await.map_err(server_error)?;
        let inbox = store.journal.inbox(identity.user, 100).await.map_err(server_error)?;
        // Newer ones are counted when their facts arrive.
        let unread = inbox.items.iter().filter(|item| !item.read && item.seq <= seq).count();
        let browser = leptos::prelude::use_context::<crate::BrowserState>();
        Ok(Self {
            epoch: store.database.epoch().into(),
            seq,
            unread_count: u32::try_from(unread).unwrap_or(u32::MAX),
            email: identity.email.clone(),
            is_admin: identity.role == contract::api::Role::Admin,
            is_sandbox: engine.channels().iter().any(|channel| channel.is_sandbox),
            theme: browser.map(|browser| browser.theme).unwrap_or_default(),
        })
    }
}
