//! The server's side of server functions.
//!
//! A server function is a public endpoint, so each begins with [`request_context`]. None can
//! do without: nothing else hands out the engine.

use engine::{Engine, store::Identity};
use leptos::prelude::*;

/// Identity of the signed-in user, if any.
#[derive(Clone, Debug)]
pub struct CurrentIdentity(pub Option<Identity>);

/// Engine that [`request_context`] hands out, and only for signed-in users.
#[derive(Clone)]
pub struct GuardedEngine(Engine);

impl GuardedEngine {
    pub const fn new(engine: Engine) -> Self {
        Self(engine)
    }
}

/// Engine and signed-in identity of a request.
pub struct RequestContext {
    pub engine: Engine,
    pub identity: Identity,
}

/// Returns the engine and the identity of the signed-in user.
///
/// # Errors
/// Fails, and sets status 401, if nobody is signed in.
pub fn request_context() -> Result<RequestContext, ServerFnError> {
    let identity = use_context::<CurrentIdentity>().and_then(|current| current.0);
    match (use_context::<GuardedEngine>(), identity) {
        (Some(engine), Some(identity)) => Ok(RequestContext { engine: engine.0, identity }),
        _ => {
            set_status(axum::http::StatusCode::UNAUTHORIZED);
            Err(ServerFnError::ServerError("Sign in first.".into()))
        }
    }
}

/// Logs and counts an error of the store, and returns it in words for people.
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
