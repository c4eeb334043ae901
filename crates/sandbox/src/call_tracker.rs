//! Runs calls to completion, whether their client still waits or not.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{connection::ConnectionAbortHandle, response::CallOutcome, traceparent};

/// Tracks the running calls. Cheap to clone; all clones share one shutdown.
#[derive(Clone, Default)]
pub struct CallTracker {
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl CallTracker {
    /// Runs `call` in its own task: a client that disconnects cancels nothing, as with a real
    /// service. Only the shutdown of the sandbox does, as its crash would.
    pub async fn run_detached(
        &self,
        abort_handle: ConnectionAbortHandle,
        call: impl Future<Output = CallOutcome> + Send + 'static,
    ) -> Response {
        let shutdown = self.shutdown.clone();
        let call = traceparent::scope(traceparent::current(), call);
        let task = self.tasks.spawn(async move { shutdown.run_until_cancelled_owned(call).await });
        match task.await {
            Ok(Some(CallOutcome::Respond(response))) => response.into_response(),
            Ok(Some(CallOutcome::DropConnection) | None) | Err(_) => {
                abort_handle.abort();
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        }
    }

    /// Returns the token whose cancellation shuts the sandbox down.
    pub fn shutdown_token(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Cancels all calls and waits until none is left.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
