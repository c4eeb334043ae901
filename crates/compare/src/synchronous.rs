//! Synchronous: the request does the work, and its answer is the result.

use crate::{
    batch::Batch,
    person::{Person, Receipt},
    services::{CallError, Services},
};
use axum::{Json, Router, extract::State, routing::post};
use contract::comparison::Notice;
use serde::{Deserialize, Serialize};

/// What a request has done.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Calls that succeeded.
    pub succeeded: u32,
    /// Calls that failed.
    pub failed: u32,
}

/// Returns the routes of the server.
pub fn router(services: Services) -> Router {
    Router::new().route("/launch", post(launch)).with_state(services)
}

/// Does one thing after the other while the browser waits. If the browser goes away, the rest is
/// not done: the server drops the work together with the connection.
async fn launch(State(services): State<Services>, Json(batch): Json<Batch>) -> Json<Summary> {
    let mut summary = Summary::default();
    summary.add(&services.start_machine(&batch.machine).await);
    for product in &batch.products {
        summary.add(&services.upload(product).await);
    }
    Json(summary)
}

impl Summary {
    pub(crate) fn add(&mut self, result: &Result<(), CallError>) {
        match result {
            Ok(()) => self.succeeded += 1,
            Err(error) => {
                tracing::warn!(%error, "a call failed");
                self.failed += 1;
            }
        }
    }
}

/// Sends the batch, and waits for the result.
///
/// # Errors
/// No answer came.
pub(crate) async fn send(person: &Person, batch: &Batch) -> Result<Receipt, reqwest::Error> {
    let answer = person.post("/launch").json(batch).send().await?.error_for_status()?;
    answer.json::<Summary>().await?;
    Ok(Receipt::default())
}

/// Returns how the person learns the outcome: by the answer, if it came.
pub(crate) fn notice(receipt: Option<&Receipt>) -> Notice {
    match receipt {
        Some(_) => Notice::Response,
        None => Notice::None,
    }
}
