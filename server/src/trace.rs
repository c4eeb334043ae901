//! Log span of a request.

use axum::{extract::Request, http::StatusCode};
use std::time::Duration;
use tower_http::classify::ServerErrorsFailureClass;
use tracing::Span;

/// Maximum length of a path segment in the log, in bytes. Ids and file names are
/// shorter, tokens are longer.
const MAX_SEGMENT_BYTES: usize = 40;

/// Returns a span with the method and the path, without the query.
pub fn request_span(request: &Request) -> Span {
    let path = redact_path(request.uri().path());
    tracing::info_span!("request", method = %request.method(), %path)
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
