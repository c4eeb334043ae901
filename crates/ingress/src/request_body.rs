//! Request bodies that their handler does not read to the end, or that stall.
//!
//! A browser sends all of a form before it reads the response: if the connection
//! were closed after an early response, the user would see a reset connection, not
//! the message that says what to do. The response is sent at once, and the rest
//! of the body is read and discarded, within limits. A stalled body times out.

mod monitored_body;

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use contract::metric;
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

    /// Runs the handler of `request`. If it answers before it has read the body, the
    /// rest is drained while the response is sent. If the body stalls, the response
    /// is that of `on_timeout`, which receives the idle timeout.
    pub async fn run(
        self,
        request: Request,
        next: Next,
        on_timeout: impl FnOnce(Duration) -> Response,
    ) -> Response {
        if request.body().is_end_stream() {
            return next.run(request).await;
        }
        let Self { idle_timeout, drain_permits } = self;
        let (parts, body) = request.into_parts();
        let mut rest = MonitoredBody::new(body, idle_timeout, parts.extensions.get().cloned());
        let monitored = Body::from_stream(rest.clone());
        let response = next.run(Request::from_parts(parts, monitored)).await;
        match rest.final_state() {
            BodyState::Ended => response,
            BodyState::TimedOut => {
                metrics::counter!(metric::REQUEST_BODY_TIMEOUTS).increment(1);
                close_afterwards(on_timeout(idle_timeout))
            }
            BodyState::Open => {
                // Beyond the limit the connection is closed, and the client may not
                // get the response.
                if let Ok(permit) = drain_permits.try_acquire_owned() {
                    tokio::spawn(async move {
                        let _ = timeout(DRAIN_TIMEOUT, drain(rest)).await;
                        drop(permit);
                    });
                }
                close_afterwards(response)
            }
        }
    }
}

/// Has the connection closed after `response`: otherwise the client would send its
/// next request on it.
fn close_afterwards(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
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

/// Returns the Content-Length in bytes, if the headers have a valid one.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the Content-Length exceeds `limit`, in bytes, so that a body can be
/// rejected before it is read.
pub fn exceeds(headers: &HeaderMap, limit: usize) -> bool {
    content_length(headers).is_some_and(|length| length > limit as u64)
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
