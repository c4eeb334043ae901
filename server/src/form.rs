//! Handlers of the pages' plain HTML forms. Forms work with and without scripts,
//! and are answered with a redirect.

pub mod accounts;
pub mod channels;
pub mod compare;
pub mod failed_commands;
pub mod flash;
pub mod launch;

use crate::{
    client::ClientAddress, problem::Problem, session, session::CurrentUser, state::AppState,
};
use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use contract::{
    JobId, TaskId,
    api::{Resolution, RetryRequest, RetryState, SignIn},
};
use engine::store::JobControl;
use flash::redirect_with_problem;
use serde::Deserialize;

fn sign_in_response(result: Result<session::SessionCookies, Problem>, page: &str) -> Response {
    match result {
        Ok(cookies) => (cookies, Redirect::to("/")).into_response(),
        Err(problem) => redirect_with_problem(page, &problem),
    }
}

#[derive(Deserialize)]
pub struct SetUpForm {
    email: String,
    password: String,
    #[serde(default)]
    token: String,
}

pub async fn set_up(State(state): State<AppState>, Form(form): Form<SetUpForm>) -> Response {
    sign_in_response(
        session::set_up(&state, &form.email, form.password, &form.token).await,
        "/setup",
    )
}

pub async fn sign_in(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Response {
    let result = session::sign_in(&state, address, &headers, &form.email, form.password).await;
    sign_in_response(result, "/sign-in")
}

pub async fn sign_out(
    State(state): State<AppState>,
    user: CurrentUser,
) -> Result<Response, Problem> {
    session::sign_out(&state, &user).await?;
    Ok((session::removal_cookie(&state), Redirect::to("/sign-in")).into_response())
}

#[derive(Deserialize)]
pub struct ControlForm {
    channel: Option<String>,
    task: Option<TaskId>,
    state: Option<RetryState>,
    /// Query string of the job page that the form was sent from.
    #[serde(default)]
    shown: String,
}

pub async fn control(
    State(state): State<AppState>,
    user: CurrentUser,
    Path((job, action)): Path<(JobId, String)>,
    Form(form): Form<ControlForm>,
) -> Result<Response, Problem> {
    let actor = user.actor();
    let result = match action.as_str() {
        "cancel" => state.engine.control_job(actor, job, JobControl::Cancel).await,
        "pause" => state.engine.control_job(actor, job, JobControl::Pause).await,
        "resume" => state.engine.control_job(actor, job, JobControl::Resume).await,
        "retry" => {
            let retry = RetryRequest {
                tasks: form.task.map(|task| vec![task]),
                state: form.state,
                channel: form.channel.filter(|channel| !channel.is_empty()),
            };
            state.engine.retry_tasks(actor, job, &retry).await
        }
        _ => return Err(Problem::not_found()),
    };
    let page = format!("/jobs/{job}{}", safe_query(&form.shown));
    match result.map_err(Problem::from) {
        Ok(_) => Ok(Redirect::to(&page).into_response()),
        Err(problem)
            if matches!(problem.status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) =>
        {
            Ok(redirect_with_problem(&page, &problem))
        }
        Err(problem) => Err(problem),
    }
}

/// Returns `shown` if it is a plain query string, otherwise an empty one: the
/// redirect must not lead elsewhere.
fn safe_query(shown: &str) -> &str {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"?=&%_.+-~".contains(&byte);
    if shown.starts_with('?') && shown.bytes().all(is_allowed) { shown } else { "" }
}

#[derive(Deserialize)]
pub struct ResolveForm {
    #[serde(rename = "as")]
    resolution: Resolution,
    #[serde(default)]
    shown: String,
}

pub async fn resolve(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(task): Path<TaskId>,
    Form(form): Form<ResolveForm>,
) -> Result<Redirect, Problem> {
    let job = state.engine.resolve_task(user.actor(), task, form.resolution).await?;
    Ok(Redirect::to(&format!("/jobs/{}{}", job.id, safe_query(&form.shown))))
}

#[derive(Deserialize)]
pub struct MarkReadForm {
    up_to: i64,
}

pub async fn mark_read(
    State(state): State<AppState>,
    user: CurrentUser,
    Form(form): Form<MarkReadForm>,
) -> Result<Redirect, Problem> {
    state.engine.mark_notifications_read(user.actor(), form.up_to).await?;
    Ok(Redirect::to("/inbox"))
}
