//! A receiver of OTLP over HTTP, as a collector has one.

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::Metric,
};
use parking_lot::Mutex;
use prost::Message;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// Maximum size of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;

/// A span that was received. Ids are hexadecimal, as in `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedSpan {
    pub trace_id: String,
    pub span_id: String,
    /// `None` for the first span of a trace.
    pub parent: Option<String>,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// Message of the error, if it is one.
    pub error: Option<String>,
    /// Start and end, ns since 1970.
    pub times: (u64, u64),
    /// Attributes of the process that sent it.
    pub resource: BTreeMap<String, String>,
}

/// A log line that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedLog {
    /// Empty outside a trace.
    pub trace_id: String,
    pub text: String,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Default)]
struct Received {
    spans: Vec<ReceivedSpan>,
    logs: Vec<ReceivedLog>,
    metrics: Vec<Metric>,
    span_count: usize,
    keeps_spans: bool,
}

/// A receiver that decodes what it gets; dropping it ends it.
pub struct OtlpReceiver {
    port: u16,
    received: Arc<Mutex<Received>>,
    server: JoinHandle<()>,
}

impl OtlpReceiver {
    /// Starts a receiver on a free port, which keeps everything.
    ///
    /// # Errors
    /// It can't listen.
    pub async fn start() -> anyhow::Result<Self> {
        Self::listen(true).await
    }

    /// Starts a receiver that decodes and counts spans, and keeps none.
    ///
    /// # Errors
    /// It can't listen.
    pub async fn start_counting() -> anyhow::Result<Self> {
        Self::listen(false).await
    }

    async fn listen(keeps_spans: bool) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let received = Arc::new(Mutex::new(Received { keeps_spans, ..Received::default() }));
        let router = Router::new()
            .route("/v1/traces", post(receive_traces))
            .route("/v1/logs", post(receive_logs))
            .route("/v1/metrics", post(receive_metrics))
            .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(&received));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { port, received, server })
    }

    /// Returns the value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns all spans so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.received.lock().spans.clone()
    }

    /// Returns the number of spans so far.
    pub fn span_count(&self) -> usize {
        self.received.lock().span_count
    }

    /// Returns all log lines so far.
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.received.lock().logs.clone()
    }

    /// Returns all metrics so far, as often as they were received.
    pub fn metrics(&self) -> Vec<Metric> {
        self.received.lock().metrics.clone()
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type SharedState = State<Arc<Mutex<Received>>>;

async fn receive_traces(State(received): SharedState, body: Bytes) -> (StatusCode, Vec<u8>) {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return (StatusCode::BAD_REQUEST, Vec::new());
    };
    let mut received = received.lock();
    for of_resource in request.resource_spans {
        let resource = texts(of_resource.resource.map(|it| it.attributes).unwrap_or_default());
        for span in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
            received.span_count += 1;
            if !received.keeps_spans {
                continue;
            }
            let error = span.status.filter(|status| status.code == 2);
            received.spans.push(ReceivedSpan {
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
                name: span.name,
                attributes: texts(span.attributes),
                error: error.map(|status| status.message),
                times: (span.start_time_unix_nano, span.end_time_unix_nano),
                resource: resource.clone(),
            });
        }
    }
    (StatusCode::OK, Vec::new())
}

async fn receive_logs(State(received): SharedState, body: Bytes) -> (StatusCode, Vec<u8>) {
    let Ok(request) = ExportLogsServiceRequest::decode(body) else {
        return (StatusCode::BAD_REQUEST, Vec::new());
    };
    let scopes = request.resource_logs.into_iter().flat_map(|of_resource| of_resource.scope_logs);
    let records = scopes.flat_map(|of_scope| of_scope.log_records);
    received.lock().logs.extend(records.map(|record| ReceivedLog {
        trace_id: hex(&record.trace_id),
        text: text(record.body),
        attributes: texts(record.attributes),
    }));
    (StatusCode::OK, Vec::new())
}

async fn receive_metrics(State(received): SharedState, body: Bytes) -> (StatusCode, Vec<u8>) {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else {
        return (StatusCode::BAD_REQUEST, Vec::new());
    };
    let resources = request.resource_metrics.into_iter();
    let scopes = resources.flat_map(|of_resource| of_resource.scope_metrics);
    received.lock().metrics.extend(scopes.flat_map(|of_scope| of_scope.metrics));
    (StatusCode::OK, Vec::new())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}
