//! Passwords: requirements, and hashing with Argon2, of which few run at once.

use crate::problem::Problem;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use contract::text;
use ingress::metric_names::REJECTIONS;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Limits concurrent hashes: each takes some 20 MiB and occupies a processor.
static HASH_PERMITS: Semaphore = Semaphore::const_new(2);
/// Share of [`HASH_PERMITS`] for anonymous clients, so that a known client waits
/// for at most one of their hashes.
static ANONYMOUS_HASH_PERMITS: Semaphore = Semaphore::const_new(1);
/// Limits running and waiting hashes of anonymous clients. The last in the queue
/// waits for a second or so.
static ANONYMOUS_QUEUE: Semaphore = Semaphore::const_new(32);
/// Limits running and waiting hashes of known clients, so that anonymous ones
/// can't fill their queue.
static KNOWN_QUEUE: Semaphore = Semaphore::const_new(32);
/// Time after which some of the waiting hashes are finished.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Queue in which a hash waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashQueue {
    /// Clients that have not proved anything yet.
    Anonymous,
    /// Users on a known device, in a session, or with a one-time link.
    Known,
}

/// Checks the length of a new password.
///
/// # Errors
/// 422 if it is too short or too long.
pub fn check(password: &str) -> Result<(), Problem> {
    text::PASSWORD.check_length(password)?;
    if password.chars().count() < 10 {
        let detail = "Choose a password of at least 10 characters.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

/// Returns the hash of a new password.
///
/// # Errors
/// 503 if too many hashes are waiting.
pub async fn hash(password: String) -> Result<String, Problem> {
    run_queued(HashQueue::Known, move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok()
    })
    .await?
    .ok_or_else(overloaded)
}

/// Returns whether `password` matches the hash `stored`. Takes as long without a
/// stored hash as with one.
///
/// # Errors
/// 503 if too many hashes are waiting.
pub async fn verify(
    queue: HashQueue,
    password: String,
    stored: Option<String>,
) -> Result<bool, Problem> {
    run_queued(queue, move || {
        let argon = Argon2::default();
        match stored.as_deref().and_then(|stored| PasswordHash::new(stored).ok()) {
            Some(hash) => argon.verify_password(password.as_bytes(), &hash).is_ok(),
            None => {
                let _ = argon.hash_password(password.as_bytes());
                false
            }
        }
    })
    .await
}

async fn run_queued<T: Send + 'static>(
    queue: HashQueue,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let queue_permits = match queue {
        HashQueue::Anonymous => &ANONYMOUS_QUEUE,
        HashQueue::Known => &KNOWN_QUEUE,
    };
    let queue_permit = queue_permits.try_acquire().map_err(|_| overloaded())?;
    let anonymous_permit = match queue {
        HashQueue::Anonymous => {
            Some(ANONYMOUS_HASH_PERMITS.acquire().await.map_err(|_| overloaded())?)
        }
        HashQueue::Known => None,
    };
    let hash_permit = HASH_PERMITS.acquire().await.map_err(|_| overloaded())?;
    // The work owns the permits: a client that disconnects does not release them.
    let work = move || {
        let _permits = (queue_permit, anonymous_permit, hash_permit);
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| overloaded())
}

fn overloaded() -> Problem {
    metrics::counter!(REJECTIONS, "limit" => "password_hashes").increment(1);
    let detail = "Too many passwords are being checked. Nothing was changed; try again soon.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test]
    async fn full_hash_queue_rejects_with_retry_after() {
        let many = (0..100).map(|_| verify(HashQueue::Anonymous, "a wrong one".into(), None));
        let strangers = join_all(many);
        let known = async {
            tokio::task::yield_now().await;
            verify(HashQueue::Known, "a wrong one".into(), None).await
        };
        let (strangers, known) = tokio::join!(strangers, known);
        let (done, rejected): (Vec<_>, Vec<_>) = strangers.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), rejected.len()), (32, 68));
        for rejected in rejected {
            let problem = rejected.unwrap_err();
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(problem.retry_after, Some(RETRY_AFTER));
        }
        assert!(!known.unwrap());
    }
}
