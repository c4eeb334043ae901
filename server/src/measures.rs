//! What an operator's Prometheus reads: `GET /metrics`.
//!
//! Counters and histograms are kept where things happen, by the macros of
//! `metrics`; what stands at a time is read when it is asked for, by
//! [`standing`]. Labels are of few values: never an id, never what a person
//! wrote.

mod names;
mod standing;

use crate::{
    client::Proxies,
    connections::{self, Bounds},
    problem::Problem,
    session::SignedIn,
    state::State,
};
use anyhow::Context;
use axum::{
    Router,
    extract::{MatchedPath, Request, State as Extract},
    http::{Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use contract::api::Role;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
pub use standing::Sources;
use standing::Standing;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Upper bounds of every histogram, s.
const BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Largest number of connections where nothing but measures is served.
const CONNECTIONS: usize = 32;
/// What was recorded is folded so often, whether anybody reads it or not.
const FOLD: Duration = Duration::from_secs(5);

/// Begins to count. Once in a process, before anything is done.
///
/// # Errors
/// Something counts already.
pub fn begin() -> anyhow::Result<Recorder> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS)?;
    let handle = builder.install_recorder().context("measures are kept already")?;
    names::describe();
    count_panics();
    Ok(Recorder(handle))
}

/// Counts every panic of this process, whether or not something catches it.
/// They are printed as before.
fn count_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        metrics::counter!("meanwhile_panics_total").increment(1);
        print(panic);
    }));
}

/// What counts in this process; cheap to clone.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

#[cfg(test)]
impl Recorder {
    /// All that was counted, in Prometheus's text format.
    pub fn text(&self) -> String {
        self.0.render()
    }
}

/// A cheap handle to all measures of this process.
#[derive(Clone)]
pub struct Measures {
    recorder: Recorder,
    standing: Arc<Standing>,
}

impl Measures {
    pub fn new(recorder: Recorder, sources: Sources) -> Self {
        Self { recorder, standing: Arc::new(Standing::new(sources)) }
    }

    /// Folds what is recorded, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = interval(FOLD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.recorder.0.run_upkeep(),
            }
        }
    }

    /// All measures in Prometheus's text format.
    async fn text(&self) -> Response {
        self.standing.refresh().await;
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, self.recorder.0.render()).into_response()
    }

    /// Serves `GET /metrics`, and nothing else, to whoever reaches `address`.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn listen(
        self,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| {
            format!("can't listen on MEANWHILE_METRICS {address}: is it in use?")
        })?;
        tracing::info!("measures are at http://{}/metrics", listener.local_addr()?);
        // No part of the pages' router, so not in its table.
        #[allow(clippy::disallowed_methods)]
        let router = Router::new().route("/metrics", get(async move || self.text().await));
        let bounds = Bounds { all: CONNECTIONS, own: CONNECTIONS, ..Bounds::default() };
        Ok(async move {
            connections::serve(listener, router, Proxies::new(&[]), bounds, &stop).await;
        })
    }
}

/// `GET /metrics` beside the pages: for an admin, by their token. Nobody else
/// is told that anything is here.
pub async fn read(Extract(state): Extract<State>, who: SignedIn) -> Result<Response, Problem> {
    match who.identity.role {
        Role::Admin => Ok(state.measures.text().await),
        Role::User => Err(Problem::not_found()),
    }
}

/// Counts a request, and times it to the head of its answer.
pub async fn count(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        // A client may invent any number of them.
        _ => "other",
    };
    // Pages are the app's own to route; what leads nowhere is among them.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "page".to_owned(), |route| route.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    metrics::histogram!("meanwhile_http_request_seconds", "route" => route.clone())
        .record(start.elapsed());
    metrics::counter!(
        "meanwhile_http_requests_total",
        "method" => method, "route" => route, "status" => status
    )
    .increment(1);
    response
}
