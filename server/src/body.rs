//! Request bodies that their handler does not read to the end, or that stall.
//!
//! A browser sends all of a form before it reads the response: if the connection
//! were closed after an early response, the user would see a reset connection, not
//! the message that says what to do. The response is sent at once, and the rest
//! of the body is read and discarded, within limits. A stalled body times out.

mod monitored_body;

use crate::{problem::Problem, state::AppState};
use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use monitored_body::{BodyState, MonitoredBody};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Maximum number of bytes of one body that are discarded.
const MAX_DRAINED_BYTES: usize = 2 << 30;
/// Maximum time for which a body is drained.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of bodies that are drained at once.
const MAX_CONCURRENT_DRAINS: usize = 64;

/// Limits on slow request bodies; cheap to clone.
#[derive(Clone)]
pub struct BodyTimeouts {
    /// Maximum time without a byte.
    idle_timeout: Duration,
    drain_permits: Arc<Semaphore>,
}

impl BodyTimeouts {
    /// Lets a body stall for at most `idle_timeout`.
    pub fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, drain_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_DRAINS)) }
    }
}

/// Drains the body of a request that is answered early, and answers a stalled body
/// with 408.
pub async fn drain_unread(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let BodyTimeouts { idle_timeout, drain_permits } = state.body_timeouts;
    let (parts, body) = request.into_parts();
    let mut rest = MonitoredBody::new(body, idle_timeout, parts.extensions.get().cloned());
    let monitored = Body::from_stream(rest.clone());
    let mut response = next.run(Request::from_parts(parts, monitored)).await;
    match rest.final_state() {
        BodyState::Ended => response,
        BodyState::TimedOut => request_timeout(idle_timeout),
        BodyState::Open => {
            // Otherwise the client would send its next request on this connection.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            // Beyond the limit the connection is closed, and the client may not get
            // the response.
            if let Ok(permit) = drain_permits.try_acquire_owned() {
                tokio::spawn(async move {
                    let _ = timeout(DRAIN_TIMEOUT, drain(rest)).await;
                    drop(permit);
                });
            }
            response
        }
    }
}

async fn drain(mut rest: MonitoredBody) {
    let mut drained = 0;
    while let Some(Ok(bytes)) = rest.next().await {
        drained += bytes.len();
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}

fn request_timeout(idle_timeout: Duration) -> Response {
    metrics::counter!(contract::metric::REQUEST_BODY_TIMEOUTS).increment(1);
    let detail = format!(
        "What was being sent stopped coming for {} s, or came too slowly, so this request was \
         ended. Nothing was changed; send it again.",
        idle_timeout.as_secs()
    );
    let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether the Content-Length exceeds `limit`, in bytes, so that a body can be
/// rejected before it is read.
pub fn exceeds(headers: &HeaderMap, limit: usize) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > limit as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_alone_decides_what_exceeds() {
        for (length, over) in [(None, false), (Some("10"), false), (Some("11"), true)] {
            let length = length.map(|length| (header::CONTENT_LENGTH, length));
            let headers =
                length.into_iter().filter_map(|(name, text)| Some((name, text.parse().ok()?)));
            assert_eq!(exceeds(&headers.collect(), 10), over);
        }
    }
}
