//! Errors as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem
//! details. A person never sees a database's words.

pub mod page;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{api, feed::BadRow, text::TextError};
use engine::{engine::LaunchError, machines, store};
use std::{any::Any, time::Duration};

/// The type of a problem's body.
const JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error that a caller sees.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    pub bad: Vec<BadRow>,
    pub bad_total: Option<u64>,
    /// When it may help to come again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let (detail, bad) = (detail.into(), Vec::new());
        Self { status, detail, bad, bad_total: None, retry_after: None }
    }

    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub fn sign_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Sign in first.")
    }

    /// Who was signed in when the request began is not any more.
    pub fn signed_out() -> Self {
        store::Error::SignedOut.into()
    }

    pub fn too_large() -> Self {
        let words = "A file may have up to 32 MiB. Split it.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, words)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here.")
    }

    pub fn no_endpoint() -> Self {
        let words = "The API has no such endpoint. Check the path; all begin with /api/v1/.";
        Self::new(StatusCode::NOT_FOUND, words)
    }

    /// The answer where this server itself went wrong.
    pub fn failed() -> Self {
        let words = "This server made a mistake. It may have done what was asked for or not: look \
                     first. If it happens again, tell whoever runs this server.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, words)
    }
}

/// Answers a method that a path does not take.
pub async fn method_not_allowed() -> Problem {
    wrong_method()
}

pub fn wrong_method() -> Problem {
    let words = "This address does not take this method. The header Allow lists those it takes.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, words)
}

/// Answers a request whose handler panicked. The panic hook has counted it.
#[allow(clippy::needless_pass_by_value)]
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = words, "the handler of a request panicked");
    Problem::failed().into_response()
}

impl From<TextError> for Problem {
    fn from(error: TextError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let status = match error {
            store::Error::NotFound => StatusCode::NOT_FOUND,
            store::Error::SignedOut => StatusCode::UNAUTHORIZED,
            store::Error::Conflict(_) => StatusCode::CONFLICT,
            store::Error::KeyReused | store::Error::Text(_) => StatusCode::UNPROCESSABLE_ENTITY,
            store::Error::TooManyOpen { .. } => StatusCode::TOO_MANY_REQUESTS,
            store::Error::Database(_)
            | store::Error::Unsettled(_)
            | store::Error::FilesMissing
            | store::Error::Corrupt { .. } => match error.is_defect() {
                true => StatusCode::INTERNAL_SERVER_ERROR,
                false => StatusCode::SERVICE_UNAVAILABLE,
            },
        };
        error.record();
        Self::new(status, error.public_message())
    }
}

impl From<machines::Error> for Problem {
    fn from(error: machines::Error) -> Self {
        let status = match error {
            machines::Error::Absent => StatusCode::NOT_FOUND,
            machines::Error::Refused(_) => StatusCode::BAD_GATEWAY,
            machines::Error::Unreachable | machines::Error::Busy | machines::Error::Unpaced => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<LaunchError> for Problem {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Store(error) => error.into(),
            LaunchError::Text(error) => error.into(),
            LaunchError::BadRows { bad, total } => {
                let first = bad.first().map(|row| {
                    let column = row.column.as_ref().map(|c| format!(", {c}")).unwrap_or_default();
                    format!(" The first: line {}{column}: {}.", row.line, row.reason)
                });
                Self {
                    detail: format!(
                        "{total} {} can't be uploaded.{} Mend {2}, or leave {2} out.",
                        if total == 1 { "row" } else { "rows" },
                        first.unwrap_or_default(),
                        if total == 1 { "it" } else { "them" },
                    ),
                    bad,
                    bad_total: Some(total),
                    ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "")
                }
            }
            error @ (LaunchError::Unreadable(_) | LaunchError::Invalid(_)) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
        }
    }
}

/// Says when to come again, where the status says that this may help.
pub fn come_again(status: StatusCode, headers: &mut HeaderMap) {
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = api::Problem {
            kind: "about:blank".into(),
            title: self.status.canonical_reason().unwrap_or("Error").into(),
            status: self.status.as_u16(),
            detail: self.detail,
            bad: self.bad,
            bad_total: self.bad_total,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        // A browser is shown a page instead.
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is not read, so the connection ends here: a
            // client that is not told would send its next request into it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        come_again(self.status, headers);
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        }
        response
    }
}
