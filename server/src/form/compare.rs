//! Handler of the form that starts a comparison of three ways.

use super::flash::redirect_with_problem;
use crate::{comparison::StartError, problem::Problem, session::CurrentUser, state::AppState};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

const PAGE: &str = "/compare";

/// Starts a comparison, where the channels are the sandbox's.
pub async fn run(
    State(state): State<AppState>,
    _user: CurrentUser,
) -> Result<Response, Problem> {
    if !state.engine.channels().iter().any(|channel| channel.is_sandbox) {
        return Err(Problem::not_found());
    }
    match state.comparison.start() {
        Ok(()) => Ok(Redirect::to(PAGE).into_response()),
        Err(error @ StartError::Running) => {
            let problem = Problem::new(StatusCode::CONFLICT, error.to_string());
            Ok(redirect_with_problem(PAGE, &problem))
        }
        Err(error @ StartError::Spawn(_)) => {
            tracing::error!(%error, "no comparison");
            let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            Ok(redirect_with_problem(PAGE, &problem))
        }
    }
}
