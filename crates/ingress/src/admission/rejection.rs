//! Reasons for which a request is not admitted.

use axum::http::StatusCode;
use contract::metric;

/// The reason for which a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A total was reached.
    #[error("the server is too busy")]
    Global,
    /// The client has this many requests in progress.
    #[error("the client has {0} requests in progress")]
    ClientRequests(usize),
    /// The network has this many requests in progress.
    #[error("the network has {0} requests in progress")]
    NetworkRequests(usize),
    /// The user's bodies have this many KiB together.
    #[error("the bodies of the user have {0} KiB")]
    UserBodies(u32),
    /// An anonymous client sends a body that only users may send.
    #[error("an anonymous client sends a large body")]
    AnonymousBody,
}

impl Rejection {
    /// Returns the status that says what the client can do about it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Global => StatusCode::SERVICE_UNAVAILABLE,
            Self::ClientRequests(_) | Self::NetworkRequests(_) | Self::UserBodies(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::AnonymousBody => StatusCode::UNAUTHORIZED,
        }
    }

    /// Counts the rejection, unless it is of a request that would be rejected without
    /// any load.
    pub(super) fn counted(self) -> Self {
        let limit = match self {
            Self::Global => "global",
            Self::ClientRequests(_) => "client_requests",
            Self::NetworkRequests(_) => "address",
            Self::UserBodies(_) => "user_bodies",
            Self::AnonymousBody => return self,
        };
        metrics::counter!(metric::ADMISSION_REJECTIONS, "limit" => limit).increment(1);
        self
    }
}
