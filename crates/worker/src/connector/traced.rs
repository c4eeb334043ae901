//! Requests to external services as spans of the attempt that sends them.

use contract::trace_context::TRACEPARENT;
use engine::trace::{self, Span, SpanKind};
use reqwest::{RequestBuilder, Response};

/// Sends a request with the `traceparent` of a span of its own, which ends with the head of the
/// response. `service` is the name of the upstream's service.
///
/// # Errors
/// The request can't be built, or there is no response.
pub(crate) async fn send(service: &str, request: RequestBuilder) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let mut span = start_call(service, request.method().as_str());
    span.set("http.request.method", || request.method().to_string());
    span.set("server.address", || request.url().host_str().unwrap_or_default().to_owned());
    if let Ok(value) = span.context.to_string().parse() {
        request.headers_mut().insert(TRACEPARENT, value);
    }
    let response = client.execute(request).await;
    match &response {
        Ok(response) => {
            let status = response.status();
            span.set("http.response.status_code", || i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                span.fail(|| format!("{service} answered {status}"));
            }
        }
        // The message may contain the URL, and that a secret.
        Err(_) => span.fail(|| format!("no response from {service}")),
    }
    span.end();
    response
}

/// Begins the span of a call, as a part of the span that runs at the moment.
pub(crate) fn start_call(service: &str, action: &str) -> Span {
    let mut span = Span::start(SpanKind::Client, format!("{service} {action}"), trace::current());
    span.set("peer.service", || service.to_owned());
    span
}
