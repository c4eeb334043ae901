//! The header `traceparent` of the request that runs at the moment, for the ledger.

use axum::{extract::Request, middleware::Next, response::Response};

/// Maximum length that is recorded, in bytes. A valid header has 55.
const MAX_BYTES: usize = 256;

tokio::task_local! {
    static CURRENT: Option<Box<str>>;
}

/// Returns the header of the request that runs at the moment.
pub fn current() -> Option<Box<str>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Runs `call` as a part of a request with this header.
pub async fn scope<F: Future>(traceparent: Option<Box<str>>, call: F) -> F::Output {
    CURRENT.scope(traceparent, call).await
}

/// Runs a request within [`scope`].
pub async fn keep(request: Request, next: Next) -> Response {
    let value = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let value = value.filter(|text| text.len() <= MAX_BYTES).map(Into::into);
    scope(value, next.run(request)).await
}
