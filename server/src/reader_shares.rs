//! Shares of the database's readers: what one person reads at once leaves
//! connections for everyone else. The rest of theirs waits its turn.

use crate::{
    session::{Known, Visitor},
    state::State,
};
use axum::{
    extract::{FromRequestParts, Request, State as Extract},
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

/// Requests of one person that read at once. SQLite has four readers, and each
/// request asks by one of them at a time.
const READERS: usize = 2;

/// Who reads now; cheap to clone.
#[derive(Clone, Default)]
pub struct ReaderShares(Arc<Mutex<HashMap<UserId, Arc<Semaphore>>>>);

/// A person's turn to read, until it is dropped.
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    /// Keeps the share known while somebody waits for it.
    _share: Arc<Semaphore>,
}

impl ReaderShares {
    fn share(&self, person: UserId) -> Arc<Semaphore> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // There are no more than requests under way.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        Arc::clone(shares.entry(person).or_insert_with(|| Arc::new(Semaphore::new(READERS))))
    }

    /// Waits for a turn of `person`, first come, first served.
    pub async fn turn(&self, person: UserId) -> Turn {
        let share = self.share(person);
        // Nothing closes it.
        let permit = Arc::clone(&share).acquire_owned().await.ok();
        Turn { _permit: permit, _share: share }
    }
}

/// Lets a request of a signed-in person read when it is their turn. What
/// changes something has limits of its own, in [`overload`](crate::overload).
pub async fn limit(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // The server function is a POST and only reads.
    let is_server_fn = path.starts_with("/api/") && !path.starts_with("/api/v1/");
    if !is_server_fn && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let visitor = match Visitor::from_request_parts(&mut parts, &state).await {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    let turn = match &visitor.0 {
        Some(who) => Some(state.readers.turn(who.identity.user).await),
        None => None,
    };
    parts.extensions.insert(Known(visitor));
    let response = next.run(Request::from_parts(parts, body)).await;
    // What is still sent of the answer reads nothing, or by pieces.
    drop(turn);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;

    fn person(n: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn one_person_s_reads_wait_for_each_other_and_for_nobody_else() {
        let readers = ReaderShares::default();
        let first = readers.turn(person(1)).await;
        let _second = readers.turn(person(1)).await;
        let mut third = Box::pin(readers.turn(person(1)));
        assert!(poll!(&mut third).is_pending());
        drop(readers.turn(person(2)).await);
        drop(first);
        assert!(poll!(&mut third).is_ready());
    }
}
