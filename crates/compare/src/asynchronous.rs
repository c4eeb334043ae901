//! Asynchronous without a broker: 202 at once, and a task in the web process does the work.

use crate::{
    batch::Batch,
    person::{Person, Receipt},
    services::{CallError, Services},
    synchronous::Summary,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use contract::comparison::Notice;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// Products of a batch that are uploaded at the same time. One after the other would take as
/// long as the synchronous way.
const CONCURRENCY: usize = 8;

/// What the server knows about its launches, for as long as it runs.
#[derive(Clone, Debug)]
struct Server {
    services: Services,
    launches: Arc<Mutex<HashMap<u64, Launch>>>,
}

/// A launch, as those who ask see it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Launch {
    /// What has been done so far.
    pub summary: Summary,
    /// Whether nothing more will be done.
    pub is_finished: bool,
}

/// Returns the routes of the server.
pub fn router(services: Services) -> Router {
    Router::new()
        .route("/launch", post(launch))
        .route("/launches/{id}", get(show))
        .with_state(Server { services, launches: Arc::default() })
}

/// Starts the work and answers. The browser may go away.
async fn launch(State(server): State<Server>, Json(batch): Json<Batch>) -> (StatusCode, Json<u64>) {
    let id = rand::random::<u32>().into();
    server.launches.lock().insert(id, Launch::default());
    tokio::spawn(async move { server.run(id, batch).await });
    (StatusCode::ACCEPTED, Json(id))
}

/// Shows how far a launch is, to those who ask.
async fn show(
    State(server): State<Server>,
    Path(id): Path<u64>,
) -> Result<Json<Launch>, StatusCode> {
    server.launches.lock().get(&id).copied().map(Json).ok_or(StatusCode::NOT_FOUND)
}

impl Server {
    /// Does the work: the machine and several products at the same time.
    async fn run(&self, id: u64, batch: Batch) {
        let Batch { machine, products } = batch;
        let machine = async { self.add(id, &self.services.start_machine(&machine).await) };
        let products = stream::iter(products).for_each_concurrent(CONCURRENCY, |product| {
            let server = self.clone();
            async move { server.add(id, &server.services.upload(&product).await) }
        });
        tokio::join!(machine, products);
        self.change(id, |launch| launch.is_finished = true);
    }

    fn add(&self, id: u64, result: &Result<(), CallError>) {
        self.change(id, |launch| launch.summary.add(result));
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Launch)) {
        if let Some(launch) = self.launches.lock().get_mut(&id) {
            change(launch);
        }
    }
}

/// Sends the batch, and returns the id that the answer has.
///
/// # Errors
/// No answer came.
pub(crate) async fn send(person: &Person, batch: &Batch) -> Result<Receipt, reqwest::Error> {
    let answer = person.post("/launch").json(batch).send().await?.error_for_status()?;
    let id: u64 = answer.json().await?;
    Ok(Receipt { ids: vec![id.to_string()] })
}

/// Asks how far a launch is; `None` if the server doesn't know it.
///
/// # Errors
/// No answer came.
pub(crate) async fn ask(
    person: &Person,
    receipt: &Receipt,
) -> Result<Option<Launch>, reqwest::Error> {
    let Some(id) = receipt.ids.first() else { return Ok(None) };
    let answer = person.get(&format!("/launches/{id}")).send().await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(None),
        _ => answer.error_for_status()?.json().await.map(Some),
    }
}

/// Returns how the person learns the outcome: from the server, if they ask while it remembers.
///
/// # Errors
/// No answer came.
pub(crate) async fn notice(person: &Person, receipt: &Receipt) -> Result<Notice, reqwest::Error> {
    Ok(match ask(person, receipt).await? {
        Some(launch) if launch.is_finished => Notice::OnRequest,
        _ => Notice::None,
    })
}
