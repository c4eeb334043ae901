//! Permit of an admitted request.

use super::active_requests::ActiveRequestGuard;
use crate::{connections::Connection, keyed_semaphore::KeyedPermit};
use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

/// Permit of an admitted request, released on drop.
#[derive(Default)]
#[must_use = "the permit is released on drop"]
pub struct AdmissionPermit {
    /// Permits of the shares of the client, and of bodies.
    pub(super) shares: Vec<KeyedPermit>,
    /// Permits of the totals.
    pub(super) totals: Vec<OwnedSemaphorePermit>,
    pub(super) active_request: Option<ActiveRequestGuard>,
}

impl AdmissionPermit {
    /// Runs the handler of `request`, and holds the permit until the response is sent
    /// or the connection has ended. Answers 503 if the runtime shuts down.
    ///
    /// # Panics
    /// If the handler panics.
    pub async fn run(self, request: Request, next: Next) -> Response {
        let connection = request.extensions().get::<Arc<Connection>>().cloned();
        // Spawned, so that it continues when its client disconnects: work that it
        // started on other threads would otherwise run without permits.
        let run = async move { (next.run(request).await, self) };
        match tokio::spawn(run.in_current_span()).await {
            Ok((mut response, permit)) => {
                match connection {
                    Some(connection) => connection.hold_until_sent(permit),
                    None => _ = response.extensions_mut().insert(Arc::new(permit)),
                }
                response
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            },
        }
    }
}
