//! Bodies that are not heard to their end by whoever asked for them.
//!
//! A browser sends all of a form before it reads the answer: were the
//! connection closed at an early answer, its user would see a reset connection
//! and not the sentence that says what to do. The answer goes out at once, and
//! what still comes is read and thrown away, within bounds. A sender that
//! falls silent is waited for, within bounds too.

mod lent;

use crate::{problem::Problem, state::State};
use axum::{
    body::{Body, HttpBody},
    extract::{Request, State as Extract},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use lent::{Lent, Outcome};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// At most so much of one body is thrown away, bytes.
const DRAINED: usize = 2 << 30;
/// For at most so long.
const DRAINING: Duration = Duration::from_secs(30);
/// And of so many at once.
const DRAINS: usize = 64;

/// What is borne of senders; cheap to clone.
#[derive(Clone)]
pub struct Patience {
    /// A body that brings nothing for so long is given up.
    silence: Duration,
    drains: Arc<Semaphore>,
}

impl Patience {
    pub fn new(silence: Duration) -> Self {
        Self { silence, drains: Arc::new(Semaphore::new(DRAINS)) }
    }
}

/// Whoever is answered early is heard out; whoever falls silent is answered
/// 408.
pub async fn hear_out(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let Patience { silence, drains } = state.patience;
    let (parts, body) = request.into_parts();
    let mut rest = Lent::new(body, silence, parts.extensions.get().cloned());
    let lent = Body::from_stream(rest.clone());
    let mut response = next.run(Request::from_parts(parts, lent)).await;
    match rest.outcome() {
        Outcome::Ended => response,
        Outcome::Silent => too_slow(silence),
        Outcome::Open => {
            // A client that is not told would send its next request into it.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            // Past the bounds the connection ends as it is, and the sender may
            // learn no more.
            if let Ok(place) = drains.try_acquire_owned() {
                tokio::spawn(async move {
                    let _ = timeout(DRAINING, drain(rest)).await;
                    drop(place);
                });
            }
            response
        }
    }
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

fn too_slow(silence: Duration) -> Response {
    metrics::counter!("meanwhile_silent_bodies_total").increment(1);
    let words = format!(
        "What was being sent stopped coming for {} s, or came too slowly, so this request was \
         ended. Nothing was changed; send it again.",
        silence.as_secs()
    );
    let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, words).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
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
