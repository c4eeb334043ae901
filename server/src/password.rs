//! Passwords: what one has to be, and argon2 in a bounded pool.

use crate::problem::Problem;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use contract::text;
use tokio::sync::Semaphore;

/// Hashing takes some 20 MiB and a core for a while: few at once.
static HASHERS: Semaphore = Semaphore::const_new(2);

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

pub async fn hash(password: String) -> Result<String, Problem> {
    blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok()
    })
    .await?
    .ok_or_else(busy)
}

/// Takes as long without a stored hash as with one.
pub async fn verify(password: String, stored: Option<String>) -> Result<bool, Problem> {
    blocking(move || {
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
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let place = HASHERS.acquire().await.map_err(|_| busy())?;
    // The place is the work's: whoever hangs up does not free it.
    let work = move || {
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| busy())
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server is busy. Try again soon.")
}
