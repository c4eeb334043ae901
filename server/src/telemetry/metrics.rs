//! Metrics on their way to the collector: what `GET /metrics` says, at an interval.

use super::{
    Error, OtlpHttpClient, SHUTDOWN_TIMEOUT, prometheus_text, resource,
    settings::{Settings, Signal, unsupported, variable},
};
use crate::metrics::Metrics;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header::CONTENT_TYPE};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, Request};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
};
use prost::Message;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
/// Time between two exports, unless the environment says another one.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// Sends the metrics of this process. Counters are sums since its start, so that one export that
/// fails loses nothing.
pub struct MetricExport {
    client: OtlpHttpClient,
    endpoint: Uri,
    headers: HeaderMap,
    interval: Duration,
    resource: Resource,
    /// Time from which counters count, ns since 1970.
    start_ns: u64,
}

impl MetricExport {
    /// Returns the export that the environment asks for, if it does.
    ///
    /// # Errors
    /// A variable can't be used.
    pub fn from_environment() -> Result<Option<Self>, Error> {
        let settings = Settings::from_environment()?;
        let Some(collector) = settings.collector(Signal::Metrics) else { return Ok(None) };
        let interval = match variable(INTERVAL) {
            None => DEFAULT_INTERVAL,
            Some(text) => match text.parse() {
                Ok(ms @ 1..) => Duration::from_millis(ms),
                _ => return Err(unsupported(INTERVAL, &text, "a number of milliseconds").into()),
            },
        };
        let text = |value: String| Some(AnyValue { value: Some(Value::StringValue(value)) });
        let attributes = resource()
            .iter()
            .map(|(key, value)| KeyValue {
                key: key.to_string(),
                value: text(value.to_string()),
                ..KeyValue::default()
            })
            .collect();
        Ok(Some(Self {
            client: OtlpHttpClient::new(Signal::Metrics, collector.timeout)?,
            endpoint: collector.endpoint.clone(),
            headers: collector.headers.clone(),
            interval,
            resource: Resource { attributes, ..Resource::default() },
            start_ns: now_ns(),
        }))
    }

    /// Sends the metrics until `stop`, and once more then, for at most [`SHUTDOWN_TIMEOUT`].
    pub async fn run(self, metrics: Metrics, stop: CancellationToken) {
        let mut tick = interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // An export in progress is abandoned at `stop`: the last one has newer values.
            tokio::select! {
                () = stop.cancelled() => break,
                () = async {
                    tick.tick().await;
                    self.send(&metrics).await;
                } => {}
            }
        }
        if timeout(SHUTDOWN_TIMEOUT, self.send(&metrics)).await.is_err() {
            tracing::warn!("the last metrics were not exported");
        }
    }

    /// Sends the metrics as they are. The client logs what fails.
    async fn send(&self, metrics: &Metrics) {
        let text = metrics.render().await;
        let _ = self.client.send_bytes(self.request(&text)).await;
    }

    fn request(&self, text: &str) -> Request<Bytes> {
        let scope = InstrumentationScope {
            name: super::SERVICE_NAME.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..InstrumentationScope::default()
        };
        let metrics = prometheus_text::parse(text, self.start_ns, now_ns());
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        };
        let message = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
        let mut request = Request::new(Bytes::from(message.encode_to_vec()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.extend(self.headers.clone());
        request
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
