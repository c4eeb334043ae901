//! Limits on concurrent reads of one user, so that connections to the database
//! remain for everyone else. Further reads of the user wait.

use crate::{
    session::{OptionalUser, ResolvedUser},
    state::AppState,
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::UserId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of concurrent read requests of one user. SQLite has four
/// readers, and each request uses one of them at a time.
const MAX_READS_PER_USER: usize = 2;

/// Semaphores of the users who are reading; cheap to clone.
#[derive(Clone, Default)]
pub struct ReadLimits(Arc<Mutex<HashMap<UserId, Arc<Semaphore>>>>);

/// Permit to read, released on drop.
pub struct ReadPermit {
    _permit: Option<OwnedSemaphorePermit>,
    /// Keeps the user's semaphore registered while requests wait for it.
    _semaphore: Arc<Semaphore>,
}

impl ReadLimits {
    fn user_semaphore(&self, user: UserId) -> Arc<Semaphore> {
        let mut semaphores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Bounded by the number of requests in progress.
        semaphores.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        Arc::clone(
            semaphores.entry(user).or_insert_with(|| Arc::new(Semaphore::new(MAX_READS_PER_USER))),
        )
    }

    /// Waits for a permit of `user`, first come, first served.
    pub async fn acquire(&self, user: UserId) -> ReadPermit {
        let semaphore = self.user_semaphore(user);
        // The semaphore is never closed.
        let permit = Arc::clone(&semaphore).acquire_owned().await.ok();
        ReadPermit { _permit: permit, _semaphore: semaphore }
    }
}

/// Makes read requests of a signed-in user wait for a permit. Requests that change
/// something have limits of their own, in [`admission`](crate::admission).
pub async fn limit_reads(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Server functions are POST requests, but only read.
    let is_server_fn = path.starts_with("/api/") && !path.starts_with("/api/v1/");
    if !is_server_fn && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let visitor = match OptionalUser::from_request_parts(&mut parts, &state).await {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    let permit = match &visitor.0 {
        Some(user) => Some(state.read_limits.acquire(user.identity.user).await),
        None => None,
    };
    parts.extensions.insert(ResolvedUser(visitor));
    let response = next.run(Request::from_parts(parts, body)).await;
    // The rest of the response is sent without reading, or read piece by piece.
    drop(permit);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;

    fn user(n: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn reads_of_one_user_wait_for_each_other_only() {
        let limits = ReadLimits::default();
        let first = limits.acquire(user(1)).await;
        let _second = limits.acquire(user(1)).await;
        let mut third = Box::pin(limits.acquire(user(1)));
        assert!(poll!(&mut third).is_pending());
        drop(limits.acquire(user(2)).await);
        drop(first);
        assert!(poll!(&mut third).is_ready());
    }
}
