//! What keeps a flood from taking all memory: it costs whoever brings it time,
//! and then a 503 at once; everyone else is served meanwhile.

use crate::{problem::Problem, state::State};
use axum::{
    extract::{Request, State as Extract},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Requests under way at once; a socket is none of them once it is open.
const REQUESTS: usize = 512;
/// Bodies that are held at once, KiB. Reading a file takes some times its size.
const HELD: u32 = 64 * 1024;
/// A body of no told length counts as the largest that is taken.
const LARGEST: u32 = 33 * 1024;
/// Small bodies are not counted, KiB.
const SMALL: u32 = 64;
/// A launch waits so long for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is left of both; cheap to clone.
#[derive(Clone)]
pub struct Room {
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS)),
            bodies: Arc::new(Semaphore::new(HELD as usize)),
        }
    }
}

/// Lets a request in when there is room for it.
pub async fn bound(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let Room { requests, bodies } = state.room;
    let Ok(_request) = requests.try_acquire() else { return full() };
    let size = size(request.headers());
    let body = match size {
        0..=SMALL => None,
        size => match timeout(PATIENCE, bodies.acquire_many(size)).await {
            Ok(Ok(body)) => Some(body),
            _ => return full(),
        },
    };
    let response = next.run(request).await;
    drop(body);
    response
}

/// Of the body, KiB. What is larger than is taken is never held whole.
fn size(headers: &HeaderMap) -> u32 {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let told = told.and_then(|length| length.parse::<u64>().ok());
    match told {
        Some(bytes) => u32::try_from(bytes.div_ceil(1024)).unwrap_or(LARGEST).min(LARGEST),
        None if headers.contains_key(header::TRANSFER_ENCODING) => LARGEST,
        None => 0,
    }
}

fn full() -> Response {
    let words = "The server has as much to do as it can. Nothing was changed; try again soon.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, words).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_body_counts_as_what_it_says_or_as_the_largest() {
        let of = |name, value: &str| size(&HeaderMap::from_iter([(name, value.parse().unwrap())]));
        assert_eq!(size(&HeaderMap::new()), 0);
        assert_eq!(of(header::CONTENT_LENGTH, "1"), 1);
        assert_eq!(of(header::CONTENT_LENGTH, "1048576"), 1024);
        assert_eq!(of(header::CONTENT_LENGTH, "99999999999999"), LARGEST);
        assert_eq!(of(header::TRANSFER_ENCODING, "chunked"), LARGEST);
    }
}
