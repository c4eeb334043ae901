//! The page that compares three ways to run a batch: the form that starts a comparison, and its
//! figures as JSON. Both exist only where the channels are the sandbox's.

use super::flash::redirect_with_problem;
use crate::{comparison::StartError, problem::Problem, session::CurrentUser, state::AppState};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

const PAGE: &str = "/compare";

/// `POST /compare`: starts a comparison.
pub async fn run(State(state): State<AppState>, _user: CurrentUser) -> Result<Response, Problem> {
    require_sandbox(&state)?;
    match state.comparison.start() {
        Ok(()) => Ok(Redirect::to(PAGE).into_response()),
        Err(error @ StartError::Running) => {
            let problem = Problem::new(StatusCode::CONFLICT, error.to_string());
            Ok(redirect_with_problem(PAGE, &problem))
        }
        Err(error @ StartError::Spawn(_)) => {
            tracing::error!(%error, "the comparison can't be started");
            let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            Ok(redirect_with_problem(PAGE, &problem))
        }
    }
}

/// `GET /compare/result.json`: the figures of the last comparison, as `meanwhile compare --json`
/// prints them.
pub async fn result(
    State(state): State<AppState>,
    _user: CurrentUser,
) -> Result<Response, Problem> {
    require_sandbox(&state)?;
    let comparison = state.comparison.status().last.ok_or_else(Problem::not_found)?;
    Ok(Json(comparison.as_ref()).into_response())
}

fn require_sandbox(state: &AppState) -> Result<(), Problem> {
    match state.engine.channels().iter().any(|channel| channel.is_sandbox) {
        true => Ok(()),
        false => Err(Problem::not_found()),
    }
}
