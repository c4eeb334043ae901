//! Carries calls to their end, whether their client still waits or not.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{answer::Outcome, connection::Cut};

/// Cheap to clone; all clones share one end.
#[derive(Clone, Default)]
pub struct Work {
    running: TaskTracker,
    end: CancellationToken,
}

impl Work {
    /// Runs `call` in a task of its own: a client that goes away stops nothing, as with a real
    /// service. Only the end of the sandbox does, as its death would.
    pub async fn carry(
        &self,
        cut: Cut,
        call: impl Future<Output = Outcome> + Send + 'static,
    ) -> Response {
        let end = self.end.clone();
        let task = self.running.spawn(async move { end.run_until_cancelled_owned(call).await });
        match task.await {
            Ok(Some(Outcome::Answer(answer))) => answer.into_response(),
            Ok(Some(Outcome::Dropped) | None) | Err(_) => {
                cut.cut();
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        }
    }

    pub fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Ends all calls where they are and waits until none is left.
    pub async fn stop(&self) {
        self.end.cancel();
        self.running.close();
        self.running.wait().await;
    }
}
