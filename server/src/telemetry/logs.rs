//! Log lines as OpenTelemetry's SDK exports them.

use super::SERVICE_NAME;
use crate::redact::redact;
use engine::trace;
use opentelemetry::{
    SpanId, TraceFlags, TraceId,
    logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity},
};
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use std::{fmt, time::SystemTime};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Parts of the exporter, whose log lines would cause further exports.
const EXPORTER_TARGETS: [&str; 5] = ["opentelemetry", "reqwest", "hyper", "h2", "rustls"];

/// Exports log lines, each with the trace that it belongs to.
pub struct LogLayer(SdkLogger);

impl LogLayer {
    pub(super) fn new(provider: &SdkLoggerProvider) -> Self {
        Self(provider.logger(SERVICE_NAME))
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let target = metadata.target();
        if EXPORTER_TARGETS.iter().any(|own| target.starts_with(own)) {
            return;
        }
        let mut record = self.0.create_log_record();
        record.set_timestamp(SystemTime::now());
        record.set_target(target.to_owned());
        record.set_severity_text(metadata.level().as_str());
        record.set_severity_number(match *metadata.level() {
            Level::TRACE => Severity::Trace,
            Level::DEBUG => Severity::Debug,
            Level::INFO => Severity::Info,
            Level::WARN => Severity::Warn,
            Level::ERROR => Severity::Error,
        });
        if let Some(context) = trace::current() {
            let flags =
                if context.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let (trace_id, span_id) = (context.trace_id, context.span_id);
            record.set_trace_context(TraceId::from(trace_id), SpanId::from(span_id), Some(flags));
        }
        event.record(&mut FieldVisitor(&mut record));
        self.0.emit(record);
    }
}

/// Adds the fields of an event to a record, without secrets.
struct FieldVisitor<'a, R>(&'a mut R);

impl<R: LogRecord> FieldVisitor<'_, R> {
    fn add(&mut self, field: &Field, value: AnyValue) {
        match field.name() {
            "message" => self.0.set_body(value),
            name => self.0.add_attribute(name, value),
        }
    }
}

impl<R: LogRecord> Visit for FieldVisitor<'_, R> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, redact(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, redact(&format!("{value:?}")).into());
    }
}
