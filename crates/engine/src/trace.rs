//! Spans: what a trace consists of, from the request of a launch to the calls of its tasks.
//!
//! The context of a span crosses processes as `traceparent`: in the header of a request, in the
//! row of a task, in the header of its message, in the request to an external service, and in a
//! fact. Within a process it is that of the running task of tokio, see [`scope`].
//!
//! Without a [`SpanSink`] contexts are passed on, but nothing is recorded.

use contract::trace_context::TraceContext;
use std::{borrow::Cow, future::Future, sync::OnceLock, time::SystemTime};

/// Place where spans go that have ended, and what decides which ones are recorded.
pub trait SpanSink: Send + Sync + 'static {
    /// Decides whether a new span of this trace is recorded. `parent` is `None` for the first
    /// span of a trace.
    fn should_sample(&self, parent: Option<TraceContext>, trace_id: u128) -> bool;

    /// Takes a span that has ended. Must not block.
    fn record(&self, span: Span, end: SystemTime);
}

static SINK: OnceLock<Box<dyn SpanSink>> = OnceLock::new();

/// Sets the sink of this process. Returns false if there is one already.
pub fn set_sink(sink: impl SpanSink) -> bool {
    SINK.set(Box::new(sink)).is_ok()
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Returns the context of the span that runs at the moment, if there is one.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Returns the `traceparent` of the span that runs at the moment, if there is one.
pub fn current_traceparent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// Runs `future` within the span of `context`, which [`current`] then returns.
pub async fn scope<F: Future>(context: TraceContext, future: F) -> F::Output {
    CURRENT.scope(context, future).await
}

/// Relation of a span to its parent and to what it calls, as
/// [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/trace/api/#spankind) defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Handles a request.
    Server,
    /// Sends a request.
    Client,
    /// Processes a message.
    Consumer,
    /// A part of one of the others.
    Internal,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// A span that has begun. It is recorded when it [ends](Span::end); one that is dropped is not.
#[derive(Debug)]
pub struct Span {
    /// Its own context, which is the parent of what it causes.
    pub context: TraceContext,
    /// Id of its parent.
    pub parent: Option<u64>,
    /// Kind.
    pub kind: SpanKind,
    /// Name: low in variety, because tools group by it.
    pub name: Cow<'static, str>,
    /// Time at which it began.
    pub start: SystemTime,
    /// Attributes by the names of OpenTelemetry's conventions where there is one.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}

impl Span {
    /// Begins a span. Without a parent it is the first one of a new trace.
    pub fn start(
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        parent: Option<TraceContext>,
    ) -> Self {
        let trace_id = parent.map_or_else(random_trace_id, |parent| parent.trace_id);
        let is_sampled = match SINK.get() {
            Some(sink) => sink.should_sample(parent, trace_id),
            None => parent.is_some_and(|parent| parent.is_sampled),
        };
        Self {
            context: TraceContext { trace_id, span_id: random_span_id(), is_sampled },
            parent: parent.map(|parent| parent.span_id),
            kind,
            name: name.into(),
            start: SystemTime::now(),
            attributes: Vec::new(),
            error: None,
        }
    }

    /// Whether the span is recorded, so that attributes are worth their cost.
    pub fn is_recording(&self) -> bool {
        self.context.is_sampled && SINK.get().is_some()
    }

    /// Adds an attribute, if the span is recorded.
    pub fn set<V: Into<AttributeValue>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if self.is_recording() {
            self.attributes.push((key, value().into()));
        }
    }

    /// Says what went wrong, if the span is recorded.
    pub fn fail(&mut self, message: impl FnOnce() -> String) {
        if self.is_recording() {
            self.error = Some(message());
        }
    }

    /// Ends the span.
    pub fn end(self) {
        if let (true, Some(sink)) = (self.context.is_sampled, SINK.get()) {
            sink.record(self, SystemTime::now());
        }
    }
}

fn random_trace_id() -> u128 {
    rand::random::<u128>().max(1)
}

fn random_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_shares_the_trace_of_its_parent() {
        assert_eq!(current(), None);
        let request = Span::start(SpanKind::Server, "request", None);
        // Nothing records it.
        assert!(!request.context.is_sampled && !request.is_recording());
        let child =
            scope(request.context, async { Span::start(SpanKind::Client, "call", current()) });
        let child = child.await;
        assert_eq!(child.context.trace_id, request.context.trace_id);
        assert_eq!(child.parent, Some(request.context.span_id));
        assert_ne!(child.context.span_id, request.context.span_id);
        assert_eq!(current(), None);
        let other = Span::start(SpanKind::Server, "request", None);
        assert_ne!(other.context.trace_id, request.context.trace_id);
    }

    #[test]
    fn the_decision_of_a_parent_is_passed_on_without_a_sink() {
        let parent = TraceContext { trace_id: 1, span_id: 2, is_sampled: true };
        let mut span = Span::start(SpanKind::Server, "request", Some(parent));
        assert!(span.context.is_sampled && !span.is_recording());
        span.set("key", || -> i64 { panic!("nothing records it") });
        span.end();
    }
}
