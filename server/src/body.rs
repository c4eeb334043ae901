//! Bodies that are larger than what is taken.
//!
//! A browser sends all of a form before it reads the answer: were the
//! connection closed at the limit, its user would see a reset connection and
//! not the sentence that says what to do. What comes after the limit is read
//! and thrown away, within bounds.

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use futures_util::{Stream, StreamExt};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// At most so much is thrown away, bytes.
const DRAINED: usize = 2 << 30;
/// For at most so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body that its handler borrows.
#[derive(Clone)]
struct Lent(Arc<Mutex<BodyDataStream>>);

impl Stream for Lent {
    type Item = <BodyDataStream as Stream>::Item;

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(cx)
    }
}

/// Whoever sent too much is heard out before they are answered.
pub async fn hear_out(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let rest = Lent(Arc::new(Mutex::new(body.into_data_stream())));
    let lent = Body::from_stream(rest.clone());
    let response = next.run(Request::from_parts(parts, lent)).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // Past a bound the connection ends as it is, and the sender may learn no more.
        let _ = timeout(PATIENCE, drain(rest)).await;
    }
    response
}

async fn drain(mut rest: Lent) {
    let mut drained = 0;
    while let Some(Ok(bytes)) = rest.next().await {
        drained += bytes.len();
        if drained > DRAINED {
            return;
        }
    }
}

/// Whether a body says that it is larger than `limit`, bytes: then none of it
/// has to be kept to know.
pub fn is_over(headers: &HeaderMap, limit: usize) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > limit as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_said_is_believed_and_none_is_waited_for() {
        for (length, over) in [(None, false), (Some("10"), false), (Some("11"), true)] {
            let length = length.map(|length| (header::CONTENT_LENGTH, length));
            let headers =
                length.into_iter().filter_map(|(name, text)| Some((name, text.parse().ok()?)));
            assert_eq!(is_over(&headers.collect(), 10), over);
        }
    }
}
