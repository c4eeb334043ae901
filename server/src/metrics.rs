//! Prometheus metrics: `GET /metrics`.
//!
//! Counters and histograms are recorded where events happen, with the macros of
//! the crate `metrics` and the names in [`contract::metric`]; gauges are read at
//! each scrape by [`gauges`]. Labels have few values: never an id, never text that
//! a user wrote.

mod gauges;

use crate::{session::OperatorUser, state::AppState};
use anyhow::Context;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use contract::metric;
pub use gauges::GaugeSources;
use gauges::Gauges;
use ingress::{
    client_address::TrustedProxies,
    connections::{self, ConnectionOptions},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Upper bounds of the buckets of every histogram, in seconds.
const BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Maximum number of connections of the listener that serves metrics only.
const MAX_CONNECTIONS: usize = 32;
/// Interval at which recorded samples are aggregated, scraped or not.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the process-wide recorder. Call it once, before anything is recorded.
///
/// # Errors
/// A recorder is already installed.
pub fn install_recorder() -> anyhow::Result<RecorderHandle> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS)?;
    let handle = builder.install_recorder().context("a metrics recorder is already installed")?;
    describe_metrics();
    count_panics();
    Ok(RecorderHandle(handle))
}

/// Registers the help texts, those of the process included, and the counters without
/// labels.
fn describe_metrics() {
    metrics_process::Collector::default().describe();
    for &(name, help) in metric::COUNTERS {
        metrics::describe_counter!(name, help);
    }
    for &(name, help) in metric::HISTOGRAMS {
        metrics::describe_histogram!(name, help);
    }
    for &(name, help) in metric::GAUGES {
        metrics::describe_gauge!(name, help);
    }
    for &name in metric::UNLABELED_COUNTERS {
        metrics::counter!(name).increment(0);
    }
}

/// Counts every panic of this process, caught or not. The previous hook still
/// prints it.
fn count_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        metrics::counter!(metric::PANICS).increment(1);
        print(panic);
    }));
}

/// Handle of the recorder of this process; cheap to clone.
#[derive(Clone)]
pub struct RecorderHandle(PrometheusHandle);

#[cfg(test)]
impl RecorderHandle {
    /// Returns all recorded metrics in Prometheus's text format.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Recorder and gauges of this process; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: RecorderHandle,
    gauges: Arc<Gauges>,
}

impl Metrics {
    /// Combines the recorder with gauges that are read from `sources`.
    pub fn new(recorder: RecorderHandle, sources: GaugeSources) -> Self {
        Self { recorder, gauges: Arc::new(Gauges::new(sources)) }
    }

    /// Aggregates recorded samples periodically, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = interval(UPKEEP_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.recorder.0.run_upkeep(),
            }
        }
    }

    /// Returns all metrics in Prometheus's text format.
    pub async fn render(&self) -> String {
        self.gauges.refresh().await;
        self.recorder.0.render()
    }

    async fn scrape(&self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, self.render().await).into_response()
    }

    /// Serves only `GET /metrics` at `address`, without authentication.
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
            format!("can't listen on MEANWHILE_METRICS_LISTEN {address}: is it in use?")
        })?;
        tracing::info!("metrics are served at http://{}/metrics", listener.local_addr()?);
        // Separate from the main router, so not in its route table.
        #[allow(clippy::disallowed_methods)]
        let router = Router::new().route("/metrics", get(async move || self.scrape().await));
        let options = ConnectionOptions {
            max_connections: MAX_CONNECTIONS,
            max_connections_per_network: MAX_CONNECTIONS,
            ..ConnectionOptions::default()
        };
        Ok(async move {
            connections::serve(listener, router, TrustedProxies::new(&[]), options, &stop).await;
        })
    }
}

/// Handles `GET /metrics` beside the pages, for admins with a token of the scope `admin`.
/// Users get 404, which does not reveal the endpoint.
pub async fn metrics_endpoint(
    State(state): State<AppState>,
    OperatorUser(_): OperatorUser,
) -> Response {
    state.metrics.scrape().await
}

/// Returns the method as a label: a client may invent any number of methods.
pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts a request and measures the time until its response head.
pub async fn record_request(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method_name(request.method());
    // The app routes the pages itself; unknown paths count as pages, too.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "page".to_owned(), |route| route.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    metrics::histogram!(metric::HTTP_REQUEST_DURATION_SECONDS, "route" => route.clone())
        .record(start.elapsed());
    metrics::counter!(
        metric::HTTP_REQUESTS,
        "method" => method, "route" => route, "status" => status
    )
    .increment(1);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_and_the_alerts_use_metrics_that_exist() {
        let files = [
            include_str!("../../deploy/grafana/meanwhile.json"),
            include_str!("../../deploy/prometheus/alerts.yml"),
        ];
        let plain = metric::COUNTERS.iter().chain(metric::GAUGES);
        let mut known: Vec<_> = plain.map(|(name, _)| (*name).to_owned()).collect();
        known.extend(metric::HISTOGRAMS.iter().map(|(name, _)| format!("{name}_bucket")));
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for file in files {
            let words = file.split(|c| !is_part(c));
            let names: Vec<_> = words.filter(|word| word.starts_with("meanwhile_")).collect();
            assert!(names.len() > 10, "{names:?}");
            for name in names {
                assert!(known.iter().any(|known| known == name), "there is no metric {name}");
            }
        }
    }
}
