//! The span of an attempt, from the delivery of its message to its commit.

use contract::{envelope::CommandMessage, trace_context::TraceContext};
use engine::{
    store::{AttemptError, AttemptResult, ClaimedTask},
    trace::{Span, SpanKind},
};

/// Span of an attempt. What caused the task is its parent; the calls, the commit, and the tasks
/// and facts that the attempt causes are its children.
pub struct AttemptTrace(Span);

impl AttemptTrace {
    /// Begins the span of the attempt that a message leads to. Nothing is recorded if it leads to
    /// none.
    pub fn begin(message: &CommandMessage) -> Self {
        let parent = message.traceparent.as_deref().and_then(TraceContext::parse);
        let mut span = Span::start(SpanKind::Consumer, format!("process {}", message.kind), parent);
        span.set("messaging.operation.type", || "process");
        span.set("messaging.destination.name", || message.queue.clone());
        span.set("messaging.message.id", || message.id());
        span.set("meanwhile.job", || message.job.to_string());
        span.set("meanwhile.task", || message.task.to_string());
        Self(span)
    }

    /// Returns the context of the attempt.
    pub fn context(&self) -> TraceContext {
        self.0.context
    }

    /// Begins the span of a part of the attempt.
    pub fn begin_part(&self, name: &'static str) -> Span {
        Span::start(SpanKind::Internal, name, Some(self.0.context))
    }

    /// Returns the span whose fields each log line of the attempt shows.
    pub fn log_span(&self) -> tracing::Span {
        tracing::info_span!("attempt", trace_id = %self.0.context.trace_id_text())
    }

    /// Ends the span; without a result the lease was lost.
    pub fn end(mut self, claimed: &ClaimedTask, result: Option<&AttemptResult>) {
        let span = &mut self.0;
        span.set("meanwhile.attempt", || i64::from(claimed.attempt));
        span.set("meanwhile.key", || claimed.key.clone());
        match result {
            Some(Ok(success)) => span.set("meanwhile.outcome", || success.outcome.code.clone()),
            Some(Err(AttemptError::Wait { outcome, .. })) => {
                span.set("meanwhile.outcome", || outcome.code.clone());
            }
            Some(Err(AttemptError::NoRatePermit { reason, .. })) => {
                span.set("meanwhile.outcome", || reason.as_str());
            }
            Some(Err(error)) => span.fail(|| error.to_string()),
            None => span.fail(|| "the lease was lost".into()),
        }
        self.0.end();
    }
}
