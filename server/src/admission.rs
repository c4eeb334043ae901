//! Admission of requests: tells the crate [`ingress`] who sends a request and
//! whether its user is looked up, and turns its rejections into problems.

use crate::{
    client::ClientAddress,
    problem::Problem,
    session::{self, OptionalUser, ResolvedUser},
    state::AppState,
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ingress::admission::{AdmissionPermit, ClientIdentity, Rejection};
use std::time::Duration;

/// Admits a request within the limits. It holds its permits until its response
/// is sent or its connection has ended.
pub async fn admission_middleware(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&state, &mut parts).await {
        Ok(permit) => permit.run(Request::from_parts(parts, body), next).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(state: &AppState, parts: &mut Parts) -> Result<AdmissionPermit, Problem> {
    let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
    let credential = session::presented_credential_hash(&parts.headers);
    let client = state.admission.admit_client(address, credential)?;
    let is_read = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let visitor = if is_read && is_asset(parts.uri.path()) {
        None
    } else {
        match OptionalUser::from_request_parts(parts, state).await {
            Ok(visitor) => Some(visitor),
            // A handler that needs the user of a read answers this error itself.
            Err(_) if is_read => None,
            Err(problem) => return Err(problem),
        }
    };
    let identity = match &visitor {
        None => ClientIdentity::Unknown,
        Some(OptionalUser(None)) => ClientIdentity::Anonymous,
        Some(OptionalUser(Some(user))) => ClientIdentity::User(user.identity.user),
    };
    let permit = client.admit_request(identity, parts).await?;
    if let Some(visitor) = visitor {
        parts.extensions.insert(ResolvedUser(visitor));
    }
    Ok(permit)
}

/// Whether the response is the same for everyone, so that the user is not looked
/// up.
fn is_asset(path: &str) -> bool {
    path.starts_with("/pkg/") || path == "/sw.js"
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = match rejection {
            Rejection::Global => {
                "The server is too busy. Nothing was changed; try again soon.".into()
            }
            Rejection::ClientRequests(max) => format!(
                "You have {max} requests in progress and may have no more at once. Nothing was \
                 changed; try again soon."
            ),
            Rejection::NetworkRequests(max) => format!(
                "Your address has {max} requests in progress and may have no more at once. Nothing \
                 was changed; try again soon."
            ),
            Rejection::UserBodies(max_kib) => format!(
                "You are sending files already, and may send {} MiB at once. Nothing was changed; \
                 try again when they have arrived.",
                max_kib / 1024
            ),
            Rejection::AnonymousBody => return Self::sign_in_required(),
        };
        Self::new(rejection.status(), detail)
    }
}

/// Drains the body of a request that is answered early, and answers a stalled body
/// with 408.
pub async fn body_middleware(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    state.body_timeouts.run(request, next, request_timeout).await
}

fn request_timeout(idle_timeout: Duration) -> Response {
    let detail = format!(
        "What was being sent stopped coming for {} s, or came too slowly, so this request was \
         ended. Nothing was changed; send it again.",
        idle_timeout.as_secs()
    );
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
}
