//! Spans as OpenTelemetry's SDK exports them.

use super::{SERVICE_NAME, Sampler};
use crate::redact::redact;
use contract::trace_context::TraceContext;
use engine::trace::{AttributeValue, Span, SpanKind, SpanSink};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{self, SpanContext, Status, TraceState},
};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use std::{sync::Arc, time::SystemTime};

/// Hands spans to the thread that sends them. When its queue is full, spans are dropped.
pub struct SpanExport {
    processor: Arc<BatchSpanProcessor>,
    sampler: Sampler,
    scope: InstrumentationScope,
}

impl SpanExport {
    pub fn new(processor: Arc<BatchSpanProcessor>, sampler: Sampler) -> Self {
        let scope = InstrumentationScope::builder(SERVICE_NAME)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { processor, sampler, scope }
    }
}

impl SpanSink for SpanExport {
    fn should_sample(&self, parent: Option<TraceContext>, trace_id: u128) -> bool {
        self.sampler.decide(parent, trace_id)
    }

    fn record(&self, span: Span, end: SystemTime) {
        let Span { context, parent, kind, name, start, attributes, error } = span;
        let kind = match kind {
            SpanKind::Server => trace::SpanKind::Server,
            SpanKind::Client => trace::SpanKind::Client,
            SpanKind::Consumer => trace::SpanKind::Consumer,
            SpanKind::Internal => trace::SpanKind::Internal,
        };
        let attributes = attributes.into_iter().map(|(key, value)| {
            KeyValue::new(
                key,
                match value {
                    AttributeValue::Text(text) => Value::from(text),
                    AttributeValue::Number(number) => Value::from(number),
                },
            )
        });
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from(context.trace_id),
                SpanId::from(context.span_id),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
            // Those of the other kinds are parts of a span of this process.
            parent_span_is_remote: matches!(
                kind,
                trace::SpanKind::Server | trace::SpanKind::Consumer
            ) && parent.is_some(),
            span_kind: kind,
            name,
            start_time: start,
            end_time: end,
            attributes: attributes.collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: error.map_or(Status::Unset, |message| Status::error(redact(&message))),
            instrumentation_scope: self.scope.clone(),
        });
    }
}
