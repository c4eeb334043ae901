//! How server functions find a job.

use crate::server::{server_error, set_status};
use contract::JobId;
use engine::store::Error;
use leptos::prelude::ServerFnError;

/// # Errors
/// Fails, with status 404, if `id` is not an id.
pub fn parse_job_id(id: &str) -> Result<JobId, ServerFnError> {
    id.parse().map_err(|_| job_read_error(Error::NotFound))
}

/// Returns an error of the store in words for people. A missing job has status 404.
pub fn job_read_error(error: Error) -> ServerFnError {
    match error {
        Error::NotFound => {
            set_status(axum::http::StatusCode::NOT_FOUND);
            ServerFnError::ServerError("There is no such job.".into())
        }
        error => server_error(error),
    }
}
