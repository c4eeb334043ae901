//! Span of a request, in its trace and in the log.

use crate::metrics;
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::Response,
};
use contract::trace_context::{TRACEPARENT, TraceContext};
use engine::trace::{self, SpanKind};
use std::time::Duration;
use tower_http::classify::ServerErrorsFailureClass;
use tracing::{Span, field};

/// Maximum length of a path segment in the log, in bytes. Ids and file names are
/// shorter, tokens are longer.
const MAX_SEGMENT_BYTES: usize = 40;

/// Continues the trace of the request's `traceparent`, or begins one, and returns the context
/// with the response. What the request launches belongs to the trace. A request that is not
/// admitted has none, so that a flood of them costs no export.
pub async fn trace_request(request: Request, next: Next) -> Response {
    let method = metrics::method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let name = format!("{method} {}", route.unwrap_or("page"));
    let mut span = trace::Span::start(SpanKind::Server, name, parse_traceparent(request.headers()));
    span.set("http.request.method", || method);
    span.set("url.path", || redact_path(request.uri().path()));
    if let Some(route) = route {
        span.set("http.route", || route.to_owned());
    }
    Span::current().record("trace_id", field::display(span.context.trace_id_text()));
    let mut response = trace::scope(span.context, next.run(request)).await;
    if let Ok(value) = span.context.to_string().parse() {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    let status = response.status();
    span.set("http.response.status_code", || i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(|| status.to_string());
    }
    span.end();
    response
}

/// Returns the context that a client sent. Several headers are as wrong as one that can't be read.
fn parse_traceparent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => TraceContext::parse(value.to_str().ok()?),
        _ => None,
    }
}

/// Returns a span with the method and the path, without the query, and the place of the trace id.
pub fn request_span(request: &Request) -> Span {
    let path = redact_path(request.uri().path());
    tracing::info_span!("request", method = %request.method(), %path, trace_id = field::Empty)
}

/// Logs a response with a status of 500 or above. A 503 is a refusal under load, which
/// metrics count: a line for each would let a flood of requests fill the log.
pub fn log_failure(failure: ServerErrorsFailureClass, latency: Duration, _: &Span) {
    if let ServerErrorsFailureClass::StatusCode(StatusCode::SERVICE_UNAVAILABLE) = failure {
        return;
    }
    tracing::error!(%failure, ?latency, "a request failed");
}

/// Replaces tokens in the path. One-time links contain a token, and in a mistyped
/// link it may stand where no route expects it.
fn redact_path(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| if segment.len() > MAX_SEGMENT_BYTES { "…" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    #[test]
    fn logged_path_never_holds_a_token() {
        let token = "0123456789abcdef".repeat(4);
        let id = "01940000-0000-7000-8000-000000000000";
        for (path, public) in [
            ("/".to_owned(), "/".to_owned()),
            (format!("/jobs/{id}/cancel"), format!("/jobs/{id}/cancel")),
            (format!("/invite/{token}"), "/invite/…".into()),
            (format!("/Invite/x{token}/"), "/Invite/…/".into()),
        ] {
            assert_eq!(super::redact_path(&path), public);
        }
    }
}
