//! The user's notifications.

use super::{
    PageContext,
    query::{PageQuery, TypedQuery},
};
use contract::api::Inbox;
#[cfg(feature = "ssr")]
use leptos::prelude::ServerFnError;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxPage {
    pub context: PageContext,
    pub inbox: Inbox,
}

pub const fn inbox_query() -> TypedQuery<InboxPage> {
    TypedQuery::new(PageQuery::Inbox)
}

#[cfg(feature = "ssr")]
pub(super) async fn inbox(
    request: super::server::RequestContext,
) -> Result<InboxPage, ServerFnError> {
    use super::server;
    let context = server::page_context(&request).await?;
    let inbox = request
        .engine
        .store()
        .inbox(request.identity.user, 100)
        .await
        .map_err(server::server_error)?;
    Ok(InboxPage { context, inbox })
}
