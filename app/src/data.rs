//! What pages read. Identity comes first in every one; mutations are plain
//! forms of the server's.

pub mod ask;
pub mod inbox;
pub mod job;
pub mod launch;
pub mod people;
pub mod search;

use serde::{Deserialize, Serialize};

/// Where the stream goes on behind what a page shows. Read before the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    pub epoch: String,
    pub seq: i64,
    pub unread: u32,
    pub email: String,
    /// Whether they may manage people.
    pub admin: bool,
    /// The outside is a stand-in.
    pub sandbox: bool,
    pub theme: people::Theme,
}

#[cfg(feature = "ssr")]
mod server {
    use super::Since;
    use crate::Viewer;
    use engine::{Engine, store::Identity};
    use leptos::prelude::*;

    /// Whoever is signed in, and what they ask.
    pub struct Asker {
        pub engine: Engine,
        pub who: Identity,
    }

    pub fn asker() -> Result<Asker, ServerFnError> {
        let who = use_context::<Viewer>().and_then(|viewer| viewer.0);
        match (use_context::<Engine>(), who) {
            (Some(engine), Some(who)) => Ok(Asker { engine, who }),
            _ => Err(ServerFnError::ServerError("Sign in first.".into())),
        }
    }

    pub async fn since(asker: &Asker) -> Result<Since, ServerFnError> {
        let Asker { engine, who } = asker;
        let store = engine.store();
        let seq = store.head(who.user).await.map_err(error)?;
        let unread = store.inbox(who.user, 100).await.map_err(error)?.unread;
        Ok(Since {
            epoch: store.epoch().into(),
            seq,
            unread,
            email: who.email.clone(),
            admin: who.role == contract::api::Role::Admin,
            sandbox: engine.channels().iter().any(|channel| channel.sandbox),
            theme: use_context::<crate::Browser>().map(|it| it.theme).unwrap_or_default(),
        })
    }

    #[allow(clippy::needless_pass_by_value)]
    pub fn error(error: engine::store::Error) -> ServerFnError {
        if let engine::store::Error::Text(_) = error {
            set_status(axum::http::StatusCode::UNPROCESSABLE_ENTITY);
        }
        error.record();
        ServerFnError::ServerError(error.public_message())
    }

    /// Sets the status of the answer, of a page or of the server function.
    pub fn set_status(status: axum::http::StatusCode) {
        if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
            response.set_status(status);
        }
    }

    pub fn key() -> String {
        engine::engine::new_key()
    }
}
