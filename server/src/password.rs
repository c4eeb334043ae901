//! Passwords: what one has to be, and argon2 for a few at once.

use crate::problem::Problem;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use contract::text;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Hashing takes some 20 MiB and a processor for a while: few at once.
static HASHERS: Semaphore = Semaphore::const_new(2);
/// Of these, hashes of those who have shown nothing yet: whoever is known waits
/// for one of them at most.
static STRANGERS_AT_ONCE: Semaphore = Semaphore::const_new(1);
/// Hashes under way or waiting of those who have shown nothing yet. The last
/// one waits for a second or so.
static STRANGERS: Semaphore = Semaphore::const_new(32);
/// The same of those on a known device, in a session or with a one-time link:
/// strangers don't take their places.
static KNOWN: Semaphore = Semaphore::const_new(32);
/// After this time some of those that waited are done.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// Who asks for a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Stranger,
    /// Somebody on a known device, in a session, or with a one-time link.
    Known,
}

/// Refuses a new password that is too short or too long.
///
/// # Errors
/// 422, with what to do.
pub fn check(password: &str) -> Result<(), Problem> {
    text::PASSWORD.check_length(password)?;
    if password.chars().count() < 10 {
        let words = "Choose a password of at least 10 characters.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    Ok(())
}

/// Returns the hash of a new password.
///
/// # Errors
/// 503 where too many wait.
pub async fn hash(password: String) -> Result<String, Problem> {
    blocking(Asker::Known, move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok()
    })
    .await?
    .ok_or_else(busy)
}

/// Returns whether `password` is the one of `stored`. Takes as long without a
/// stored hash as with one.
///
/// # Errors
/// 503 where too many wait.
pub async fn verify(
    asker: Asker,
    password: String,
    stored: Option<String>,
) -> Result<bool, Problem> {
    blocking(asker, move || {
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

async fn blocking<T: Send + 'static>(
    asker: Asker,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let queue = match asker {
        Asker::Stranger => &STRANGERS,
        Asker::Known => &KNOWN,
    };
    let queued = queue.try_acquire().map_err(|_| busy())?;
    let share = match asker {
        Asker::Stranger => Some(STRANGERS_AT_ONCE.acquire().await.map_err(|_| busy())?),
        Asker::Known => None,
    };
    let turn = HASHERS.acquire().await.map_err(|_| busy())?;
    // All are held by the work: a client that hangs up does not free them.
    let work = move || {
        let _held = (queued, share, turn);
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| busy())
}

fn busy() -> Problem {
    metrics::counter!("meanwhile_overload_refusals_total", "bound" => "passwords").increment(1);
    let words = "Too many passwords are being checked. Nothing was changed; try again soon.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, words).retry_after(COME_AGAIN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test]
    async fn a_few_wait_and_the_others_are_told_when_to_come_again() {
        let many = (0..100).map(|_| verify(Asker::Stranger, "a wrong one".into(), None));
        let strangers = join_all(many);
        let known = async {
            tokio::task::yield_now().await;
            verify(Asker::Known, "a wrong one".into(), None).await
        };
        let (strangers, known) = tokio::join!(strangers, known);
        let (done, refused): (Vec<_>, Vec<_>) = strangers.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (32, 68));
        for refused in refused {
            let problem = refused.unwrap_err();
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(problem.retry_after, Some(COME_AGAIN));
        }
        assert!(!known.unwrap());
    }
}
