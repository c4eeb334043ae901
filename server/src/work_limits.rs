//! Limits on concurrent work of one user, so that resources remain for everyone
//! else. [`ingress::admission`] limits requests as such.

use crate::{
    problem::Problem,
    session::{OptionalUser, ResolvedUser},
    state::AppState,
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::UserId;
use contract::metric;
use ingress::{
    admission::Rejection,
    keyed_semaphore::{KeyedPermit, KeyedSemaphore, PermitDenied},
};

/// Maximum number of concurrent read requests of one user. SQLite has four
/// readers, and each request uses one of them at a time.
const MAX_USER_READS: usize = 2;
/// Maximum number of concurrent launches. Each occupies a processor, then the
/// database.
const MAX_LAUNCHES: usize = 4;
/// Maximum number of concurrent launches of one user; fewer than all, so that
/// others get their turn.
const MAX_USER_LAUNCHES: usize = 2;
/// Maximum number of responses that are read from the store while they are sent.
/// Each buffers a few MiB at most.
const MAX_DOWNLOADS: usize = 32;
/// Maximum number of such responses of one user.
const MAX_USER_DOWNLOADS: usize = 4;

/// Limits on concurrent reads, launches and downloads; cheap to clone.
#[derive(Clone)]
pub struct WorkLimits {
    reads: KeyedSemaphore<UserId>,
    launches: KeyedSemaphore<UserId>,
    downloads: KeyedSemaphore<UserId>,
}

impl Default for WorkLimits {
    fn default() -> Self {
        Self {
            reads: KeyedSemaphore::without_total(MAX_USER_READS),
            launches: KeyedSemaphore::new(MAX_LAUNCHES, MAX_USER_LAUNCHES),
            downloads: KeyedSemaphore::new(MAX_DOWNLOADS, MAX_USER_DOWNLOADS),
        }
    }
}

impl WorkLimits {
    /// Waits until `user` may read.
    pub async fn acquire_read(&self, user: UserId) -> KeyedPermit {
        self.reads.acquire(user).await
    }

    /// Waits for the permit of a launch of `user` whose file has arrived.
    pub async fn acquire_launch(&self, user: UserId) -> KeyedPermit {
        self.launches.acquire(user).await
    }

    /// Acquires a permit for a response that is read from the store while it is
    /// sent.
    ///
    /// # Errors
    /// 429 or 503 without waiting, if a limit is reached.
    pub fn acquire_download(&self, user: UserId) -> Result<KeyedPermit, Problem> {
        self.downloads.try_acquire(user).map_err(|limit| {
            let (limit_name, problem) = match limit {
                PermitDenied::Share => {
                    let detail = format!(
                        "You have {MAX_USER_DOWNLOADS} downloads in progress and may have no more \
                         at once. Nothing was changed; try again when one has ended."
                    );
                    ("user_downloads", Problem::new(StatusCode::TOO_MANY_REQUESTS, detail))
                }
                PermitDenied::Total => ("global", Rejection::Global.into()),
            };
            metrics::counter!(metric::ADMISSION_REJECTIONS, "limit" => limit_name).increment(1);
            problem
        })
    }
}

/// Makes read requests of a signed-in user wait for a permit. Launches and
/// downloads have limits of their own.
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
        Some(user) => Some(state.work_limits.acquire_read(user.identity.user).await),
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
    use uuid::Uuid;

    #[tokio::test]
    async fn user_waits_for_their_own_work_only() {
        let limits = WorkLimits::default();
        let (ada, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let reads = [limits.acquire_read(ada).await, limits.acquire_read(ada).await];
        let launches = [limits.acquire_launch(ada).await, limits.acquire_launch(ada).await];
        let mut read = Box::pin(limits.acquire_read(ada));
        let mut launch = Box::pin(limits.acquire_launch(ada));
        assert!(poll!(&mut read).is_pending() && poll!(&mut launch).is_pending());
        drop((limits.acquire_read(bob).await, limits.acquire_launch(bob).await));
        drop((reads, launches));
        assert!(poll!(&mut read).is_ready() && poll!(&mut launch).is_ready());
    }

    #[test]
    fn downloads_over_a_limit_are_rejected_at_once() {
        let limits = WorkLimits::default();
        let user = |n: usize| UserId(Uuid::from_u128(n as u128));
        let status = |result: Result<KeyedPermit, Problem>| result.err().map(|p| p.status);
        let permits: Vec<_> = (0..MAX_DOWNLOADS)
            .map(|n| limits.acquire_download(user(n / MAX_USER_DOWNLOADS)).unwrap())
            .collect();
        assert_eq!(status(limits.acquire_download(user(0))), Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(
            status(limits.acquire_download(user(99))),
            Some(StatusCode::SERVICE_UNAVAILABLE)
        );
        drop(permits);
        assert!(limits.acquire_download(user(0)).is_ok());
    }
}
