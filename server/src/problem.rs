//! Errors as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem
//! details. Error messages of the database are never shown.

pub mod error_page;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{
    api,
    feed::{BadRow, LeftOut, Question},
    text::TextError,
};
use engine::{
    engine::{ControlError, LaunchError},
    machines, store,
};
use std::{any::Any, time::Duration};

/// Media type of problem details.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Error that is sent to a client.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// What happened and what to do, for people.
    pub detail: String,
    /// Rows of an uploaded file that are invalid.
    pub bad_rows: Vec<BadRow>,
    /// Number of all invalid rows.
    pub bad_row_count: Option<u64>,
    /// Rows of an uploaded file that are left out by rule. Boxed, so that every result
    /// stays small.
    pub left_out: Box<LeftOut>,
    /// Questions about an uploaded file that must be answered first.
    pub questions: Vec<Question>,
    /// Time after which a retry may succeed, if known.
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            status,
            detail,
            bad_rows: Vec::new(),
            bad_row_count: None,
            left_out: Box::default(),
            questions: Vec::new(),
            retry_after: None,
        }
    }

    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub fn sign_in_required() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Sign in first.")
    }

    /// The user was signed out since the request began.
    pub fn signed_out() -> Self {
        store::Error::SignedOut.into()
    }

    pub fn payload_too_large() -> Self {
        let detail = "A file may have up to 32 MiB. Split it.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here.")
    }

    pub fn endpoint_not_found() -> Self {
        let detail =
            "The API has no such endpoint. Check the path: all endpoints begin with /api/v1/.";
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The server has a defect. The request may or may not have taken effect.
    pub fn internal_error() -> Self {
        let detail = "This server failed. The request may or may not have taken effect: check \
                     before you repeat it. If it happens again, tell the operator.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }
}

/// Answers a method that the path does not support.
pub async fn method_not_allowed() -> Problem {
    method_not_allowed_problem()
}

pub fn method_not_allowed_problem() -> Problem {
    let detail = "This address does not support this method. The Allow header lists those it does.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Answers a request whose handler panicked. The panic hook has counted it.
#[allow(clippy::needless_pass_by_value)]
pub fn handle_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = message, "a request handler panicked");
    Problem::internal_error().into_response()
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
            store::Error::SignedOut | store::Error::TokenExpired => StatusCode::UNAUTHORIZED,
            store::Error::Conflict(_) => StatusCode::CONFLICT,
            store::Error::KeyReused | store::Error::Text(_) | store::Error::Edit(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            store::Error::TooManyOpen { .. } => StatusCode::TOO_MANY_REQUESTS,
            store::Error::Database(_)
            | store::Error::CommitUnknown(_)
            | store::Error::FilesMissing
            | store::Error::Corrupt { .. } => match error.is_defect() {
                true => StatusCode::INTERNAL_SERVER_ERROR,
                false => StatusCode::SERVICE_UNAVAILABLE,
            },
        };
        error.log_and_count();
        Self::new(status, error.public_message())
    }
}

impl From<machines::Error> for Problem {
    fn from(error: machines::Error) -> Self {
        let status = match error {
            machines::Error::NotConfigured => StatusCode::NOT_FOUND,
            machines::Error::Rejected(_) => StatusCode::BAD_GATEWAY,
            machines::Error::Unreachable
            | machines::Error::Failing
            | machines::Error::Slow
            | machines::Error::Busy
            | machines::Error::Paused(_)
            | machines::Error::LimiterUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let status = match error {
            ControlError::Store(error) => return error.into(),
            ControlError::Unknown => StatusCode::NOT_FOUND,
            ControlError::Invalid(_) | ControlError::Text(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ControlError::CheckRuns => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

impl From<LaunchError> for Problem {
    fn from(error: LaunchError) -> Self {
        let unprocessable = Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
        match error {
            LaunchError::Store(error) => error.into(),
            LaunchError::Text(error) => error.into(),
            LaunchError::BadRows { rows: bad_rows, total } => {
                let first = bad_rows.first().map(describe_first);
                Self {
                    detail: format!(
                        "{total} {} can't be uploaded.{} Correct {2}, or leave {2} out.",
                        if total == 1 { "row" } else { "rows" },
                        first.unwrap_or_default(),
                        if total == 1 { "it" } else { "them" },
                    ),
                    bad_rows,
                    bad_row_count: Some(total),
                    ..unprocessable
                }
            }
            LaunchError::OpenQuestions { questions, bad_rows, bad_row_count } => Self {
                questions,
                bad_rows,
                bad_row_count: (bad_row_count > 0).then_some(bad_row_count),
                ..unprocessable
            },
            LaunchError::NothingToUpload { bad_rows, bad_row_count, left_out } => {
                let first = bad_rows.first().map(describe_first).unwrap_or_default();
                Self {
                    detail: format!("{}{first}", unprocessable.detail),
                    bad_rows,
                    bad_row_count: (bad_row_count > 0).then_some(bad_row_count),
                    left_out,
                    ..unprocessable
                }
            }
            LaunchError::UnreadableFile(_)
            | LaunchError::InstanceIds(_)
            | LaunchError::Invalid(_) => unprocessable,
        }
    }
}

/// Returns a sentence on the first of several bad rows.
fn describe_first(row: &BadRow) -> String {
    let column = row.column.as_ref().filter(|column| !names(&row.reason, column));
    let column = column.map(|column| format!(", {column}")).unwrap_or_default();
    format!(" The first: line {}{column}: {}.", row.line, row.reason)
}

/// Whether the subject of a reason, such as `the price is missing`, is the name of the column
/// or a part of it, so that a sentence with both would say it twice.
fn names(reason: &str, column: &str) -> bool {
    let subject = reason.strip_prefix("the ").and_then(|rest| rest.split(' ').next());
    subject.is_some_and(|subject| column.to_lowercase().contains(&subject.to_lowercase()))
}

/// Adds `Retry-After` of 5 s to a status after which a retry may succeed.
pub fn insert_retry_after(status: StatusCode, headers: &mut HeaderMap) {
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
            bad_rows: self.bad_rows,
            bad_row_count: self.bad_row_count,
            left_out: *self.left_out,
            questions: self.questions,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        // Browsers get a page instead.
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is not read, so the connection can't be used again.
            // Otherwise the client might send its next request on it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        insert_retry_after(self.status, headers);
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_about_a_bad_row_says_its_subject_once() {
        let detail = |column: &str, reason: &str| {
            let (column, reason) = (Some(column.to_owned()), reason.to_owned());
            let rows = vec![BadRow { line: 2, column, reason }];
            Problem::from(LaunchError::BadRows { rows, total: 1 }).detail
        };
        for (column, reason, place) in [
            ("price", "the price is missing", "line 2: the price is missing."),
            ("Variant SKU", "the SKU is missing", "line 2: the SKU is missing."),
            ("Preis", "the price is missing", "line 2, Preis: the price is missing."),
            ("title", "the cell holds 9 bytes", "line 2, title: the cell holds 9 bytes."),
        ] {
            let detail = detail(column, reason);
            assert!(detail.contains(&format!("The first: {place} Correct it")), "{detail}");
        }
    }
}
