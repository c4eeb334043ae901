//! Data of the pages. Every query checks the identity first; changes are plain forms that the
//! server handles.

pub mod inbox;
pub mod job;
pub mod launch;
pub mod people;
pub mod query;
pub mod search;

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
    pub theme: people::Theme,
}

#[cfg(feature = "ssr")]
mod server {
    use super::PageContext;
    use crate::CurrentIdentity;
    use engine::{Engine, store::Identity};
    use leptos::prelude::*;

    /// Engine and signed-in identity of a request.
    pub struct RequestContext {
        pub engine: Engine,
        pub identity: Identity,
    }

    pub fn request_context() -> Result<RequestContext, ServerFnError> {
        let identity = use_context::<CurrentIdentity>().and_then(|viewer| viewer.0);
        match (use_context::<Engine>(), identity) {
            (Some(engine), Some(identity)) => Ok(RequestContext { engine, identity }),
            _ => Err(ServerFnError::ServerError("Sign in first.".into())),
        }
    }

    pub async fn page_context(request: &RequestContext) -> Result<PageContext, ServerFnError> {
        let RequestContext { engine, identity } = request;
        let store = engine.store();
        let seq = store.journal_head(identity.user).await.map_err(server_error)?;
        let unread = store.inbox(identity.user, 100).await.map_err(server_error)?.unread;
        Ok(PageContext {
            epoch: store.epoch().into(),
            seq,
            unread_count: unread,
            email: identity.email.clone(),
            is_admin: identity.role == contract::api::Role::Admin,
            is_sandbox: engine.channels().iter().any(|channel| channel.is_sandbox),
            theme: use_context::<crate::BrowserState>().map(|it| it.theme).unwrap_or_default(),
        })
    }

    #[allow(clippy::needless_pass_by_value)]
    pub fn server_error(error: engine::store::Error) -> ServerFnError {
        if let engine::store::Error::Text(_) = error {
            set_status(axum::http::StatusCode::UNPROCESSABLE_ENTITY);
        }
        error.log_and_count();
        ServerFnError::ServerError(error.public_message())
    }

    /// Sets the status of the response, for a page or the server function.
    pub fn set_status(status: axum::http::StatusCode) {
        if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
            response.set_status(status);
        }
    }

    pub fn new_idempotency_key() -> String {
        engine::engine::new_idempotency_key()
    }
}
