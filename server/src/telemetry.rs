//! Export of traces, metrics and log lines over OTLP, by OpenTelemetry's environment variables. Without an
//! endpoint nothing is started.
//!
//! | module | content |
//! | --- | --- |
//! | [`settings`] | what the environment says |
//! | [`sampler`] | which traces are recorded |
//! | [`spans`], [`logs`] | spans and log lines on their way to the collector |
//! | [`metrics`], [`prometheus_text`] | metrics on their way to the collector |
//! | [`http_client`] | requests to the collector |

mod http_client;
mod logs;
mod metrics;
mod prometheus_text;
mod sampler;
mod settings;
mod spans;

pub use logs::LogLayer;
pub use metrics::MetricExport;
pub use settings::SettingsError;

use engine::trace;
use http_client::OtlpHttpClient;
use opentelemetry_otlp::{ExporterBuildError, LogExporter, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    trace::{BatchSpanProcessor, SpanProcessor},
};
use sampler::Sampler;
use settings::{Settings, Signal};
use spans::SpanExport;
use std::{sync::Arc, time::Duration};

/// Name of the service, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` has another one.
const SERVICE_NAME: &str = "meanwhile";
/// Time for which a process that stops waits for the collector: once for the last metrics, while
/// it drains, and once for the last spans and log lines, after that.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reason why telemetry can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable has a value that is not supported.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The exporter refuses its variables.
    #[error("the telemetry exporter can't be used: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The authorities that the environment names can't be used.
    #[error(transparent)]
    Roots(#[from] tls::InvalidRoots),
    /// The HTTP client can't be built.
    #[error("no HTTP client can be made for telemetry: {0}")]
    Client(#[from] reqwest::Error),
}

/// The spans and log lines that this process exports; [`MetricExport`] has the metrics. Threads of
/// their own collect and send them.
#[derive(Default)]
pub struct Telemetry {
    spans: Option<Arc<BatchSpanProcessor>>,
    logs: Option<SdkLoggerProvider>,
}

impl Telemetry {
    /// Starts the export that the environment asks for, on the runtime that runs.
    ///
    /// # Errors
    /// A variable can't be used.
    pub fn start() -> Result<Self, Error> {
        let settings = Settings::from_environment()?;
        let mut telemetry = Self::default();
        if let Some(collector) = settings.collector(Signal::Traces) {
            let client = OtlpHttpClient::new(Signal::Traces, collector.timeout)?;
            let exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
            let mut processor = BatchSpanProcessor::builder(exporter).build();
            processor.set_resource(&resource());
            let processor = Arc::new(processor);
            trace::set_sink(SpanExport::new(Arc::clone(&processor), Sampler::from_environment()?));
            telemetry.spans = Some(processor);
        }
        if let Some(collector) = settings.collector(Signal::Logs) {
            let client = OtlpHttpClient::new(Signal::Logs, collector.timeout)?;
            let exporter = LogExporter::builder().with_http().with_http_client(client).build()?;
            let provider = SdkLoggerProvider::builder()
                .with_resource(resource())
                .with_batch_exporter(exporter)
                .build();
            telemetry.logs = Some(provider);
        }
        Ok(telemetry)
    }

    /// Returns the layer that exports log lines, if they are exported.
    pub fn log_layer(&self) -> Option<LogLayer> {
        self.logs.as_ref().map(LogLayer::new)
    }

    /// Sends the spans and log lines that have been collected, side by side and for at most
    /// [`SHUTDOWN_TIMEOUT`], and ends their export.
    pub async fn shut_down(self) {
        let Self { spans, logs } = self;
        // Both calls block, so each has a thread, and both have begun before the first is awaited.
        let spans = tokio::task::spawn_blocking(move || {
            spans.map(|spans| spans.shutdown_with_timeout(SHUTDOWN_TIMEOUT))
        });
        let logs = tokio::task::spawn_blocking(move || {
            logs.map(|logs| logs.shutdown_with_timeout(SHUTDOWN_TIMEOUT))
        });
        for (signal, shut_down) in [(Signal::Traces, spans), (Signal::Logs, logs)] {
            if let Ok(Some(Err(error))) = shut_down.await {
                let signal = signal.name();
                tracing::warn!(signal, %error, "the last telemetry was not exported");
            }
        }
    }
}

/// Returns what all telemetry of this process has in common.
fn resource() -> Resource {
    let resource = Resource::builder();
    // The SDK's default is `unknown_service`.
    let is_named = settings::variable("OTEL_SERVICE_NAME").is_some()
        || settings::variable("OTEL_RESOURCE_ATTRIBUTES")
            .is_some_and(|attributes| attributes.contains("service.name="));
    let resource = match is_named {
        true => resource,
        false => resource.with_service_name(SERVICE_NAME),
    };
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let process = opentelemetry::KeyValue::new("process.pid", i64::from(std::process::id()));
    resource.with_attributes([version, process]).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::{error::OTelSdkResult, logs::LogBatch, trace::SpanData};
    use std::{sync::Barrier, time::Instant};

    /// Exporter whose shutdown ends when that of the other one has begun.
    #[derive(Debug)]
    struct WaitingExporter(Arc<Barrier>);

    impl opentelemetry_sdk::trace::SpanExporter for WaitingExporter {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            self.0.wait();
            Ok(())
        }
    }

    impl opentelemetry_sdk::logs::LogExporter for WaitingExporter {
        async fn export(&self, _: LogBatch<'_>) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            self.0.wait();
            Ok(())
        }
    }

    #[tokio::test]
    async fn spans_and_log_lines_are_shut_down_side_by_side() {
        let barrier = Arc::new(Barrier::new(2));
        let spans = BatchSpanProcessor::builder(WaitingExporter(Arc::clone(&barrier))).build();
        let logs =
            SdkLoggerProvider::builder().with_batch_exporter(WaitingExporter(barrier)).build();
        let telemetry = Telemetry { spans: Some(Arc::new(spans)), logs: Some(logs) };
        let start = Instant::now();
        telemetry.shut_down().await;
        assert!(start.elapsed() < SHUTDOWN_TIMEOUT, "{:?}", start.elapsed());
    }
}
