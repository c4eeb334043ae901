//! Handlers of the launch forms. A file that can't be launched as it is gets the
//! launch page with the result of the check; the server stores nothing.

mod check;
mod fields;
mod machines;
mod sample;

pub use machines::submit_machines;

use crate::{
    page::{self, PageContext},
    problem::{Problem, insert_retry_after},
    session::CurrentUser,
    state::AppState,
};
use app::page::launch::{CheckedFile, FileCheckResult, SubmittedForm};
use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use engine::{
    engine::{LaunchError, Upload, new_idempotency_key},
    store,
};
use fields::LaunchFields;

/// Maximum size of a file that the page in the response carries, in bytes. The
/// user has to choose a larger file again.
const MAX_CARRIED_FILE_BYTES: usize = 512 * 1024;

/// Why a form launched nothing.
enum LaunchFailure {
    /// The form is invalid.
    Form(Problem),
    /// The engine rejected the launch, or failed.
    Launch(LaunchError),
}

impl From<Problem> for LaunchFailure {
    fn from(problem: Problem) -> Self {
        Self::Form(problem)
    }
}

impl From<LaunchError> for LaunchFailure {
    fn from(error: LaunchError) -> Self {
        Self::Launch(error)
    }
}

/// Checks a file without launching it, and returns the result as JSON to scripts,
/// otherwise as a page. An unreadable file is a result, not an error.
pub async fn preview(
    State(state): State<AppState>,
    user: CurrentUser,
    Extension(context): Extension<PageContext>,
    request: Request,
) -> Response {
    let wants_json = accepts_json(request.headers());
    let mut fields = match LaunchFields::read(request).await {
        Ok(fields) => fields,
        Err(problem) if wants_json => {
            let rejected = FileCheckResult::Rejected(problem.detail.clone());
            return (problem.status, Json(rejected)).into_response();
        }
        Err(problem) => {
            return failure_page(
                &state,
                context,
                CHECK_PATH,
                LaunchFields::default(),
                problem.into(),
            )
            .await;
        }
    };
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    if !wants_json && fields.file_name.is_empty() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, CHOOSE_FILE_MESSAGE);
        return failure_page(&state, context, CHECK_PATH, fields, problem.into()).await;
    }
    let problem = match fields.forgets_columns {
        true => check::forget_columns(&state, &user.actor(), &mut fields).await.err(),
        false => None,
    };
    let mut result = check::check(&state, &fields).await;
    if let (Some(problem), FileCheckResult::Parsed(report)) = (problem, &mut result) {
        report.problem = Some(problem.detail);
    }
    if wants_json {
        return Json(result).into_response();
    }
    let form = page_data(&state, fields, Some(result), None);
    page::form_page(context, CHECK_PATH, StatusCode::OK, form).await
}

const CHECK_PATH: &str = "/launch/check";
const UPLOAD_PATH: &str = "/launch/upload";
const CHOOSE_FILE_MESSAGE: &str = "Choose a file first.";
const UNSEEN_CHOICES_MESSAGE: &str = "Your team chose how files with these columns are read. Look \
                                      at the result, and upload the file if it is right.";

fn accepts_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}

pub async fn upload(
    State(state): State<AppState>,
    user: CurrentUser,
    Extension(context): Extension<PageContext>,
    request: Request,
) -> Response {
    launch(&state, &user, context, request, |fields| fields).await
}

/// Launches the sample of 150 products, for a first try.
pub async fn upload_sample(
    State(state): State<AppState>,
    user: CurrentUser,
    Extension(context): Extension<PageContext>,
    request: Request,
) -> Response {
    launch(&state, &user, context, request, LaunchFields::with_sample).await
}

async fn launch(
    state: &AppState,
    user: &CurrentUser,
    context: PageContext,
    request: Request,
    complete: fn(LaunchFields) -> LaunchFields,
) -> Response {
    let fields = match LaunchFields::read(request).await {
        Ok(fields) => complete(fields),
        Err(problem) => {
            return failure_page(
                state,
                context,
                UPLOAD_PATH,
                LaunchFields::default(),
                problem.into(),
            )
            .await;
        }
    };
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    if let Some(result) = check::check_unseen(state, &fields).await {
        let form = page_data(state, fields, Some(result), Some(UNSEEN_CHOICES_MESSAGE.into()));
        return page::form_page(context, UPLOAD_PATH, StatusCode::UNPROCESSABLE_ENTITY, form).await;
    }
    match start_upload(state, user, &fields).await {
        Ok(response) => response,
        Err(failure) => failure_page(state, context, UPLOAD_PATH, fields, failure).await,
    }
}

async fn start_upload(
    state: &AppState,
    user: &CurrentUser,
    fields: &LaunchFields,
) -> Result<Response, LaunchFailure> {
    if fields.file_name.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, CHOOSE_FILE_MESSAGE).into());
    }
    let job = state
        .engine
        .upload_products(Upload {
            actor: user.actor(),
            file_name: &fields.file_name,
            bytes: fields.file_bytes.clone(),
            channels: &fields.channel_ids,
            skip_bad: fields.skip_bad,
            options: fields.options.clone(),
            idempotency_key: fields.idempotency_key.clone(),
        })
        .await?;
    check::remember(state, &user.actor(), fields).await;
    Ok(Redirect::to(&format!("/jobs/{}?accepted=1", job.id)).into_response())
}

/// Renders the launch page with the problem, and with the file if there is one.
async fn failure_page(
    state: &AppState,
    context: PageContext,
    path: &str,
    mut fields: LaunchFields,
    failure: LaunchFailure,
) -> Response {
    let mut problem = match failure {
        // The page shows these errors in the result of the check.
        LaunchFailure::Launch(LaunchError::BadRows { .. } | LaunchError::UnreadableFile(_)) => None,
        LaunchFailure::Launch(LaunchError::Store(store::Error::KeyReused)) => {
            fields.idempotency_key = None;
            let detail = "This form was already sent with a different file or different channels. \
                         Your jobs include what it launched. Send it again to launch this file.";
            Some(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
        LaunchFailure::Launch(error) => Some(error.into()),
        LaunchFailure::Form(problem) => Some(problem),
    };
    if let Some(problem) = problem.take_if(|problem| problem.status == StatusCode::UNAUTHORIZED) {
        // A signed-out user can't see the page.
        return problem.into_response();
    }
    let status =
        problem.as_ref().map_or(StatusCode::UNPROCESSABLE_ENTITY, |problem| problem.status);
    let result = match fields.file_name.as_str() {
        "" => None,
        _ => Some(check::check(state, &fields).await),
    };
    let form = page_data(state, fields, result, problem.map(|problem| problem.detail));
    let mut response = page::form_page(context, path, status, form).await;
    insert_retry_after(status, response.headers_mut());
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // The rest of the body may be unread, so the connection can't be used again.
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

fn page_data(
    state: &AppState,
    fields: LaunchFields,
    result: Option<FileCheckResult>,
    problem: Option<String>,
) -> SubmittedForm {
    let is_embedded = fields.file_bytes.len() <= MAX_CARRIED_FILE_BYTES;
    let file_hex = if is_embedded { hex::encode(&fields.file_bytes) } else { String::new() };
    let name = fields.file_name;
    let checked_file = result.map(|result| CheckedFile { result, name, is_embedded });
    let ticked = match checked_file {
        Some(_) => fields.channel_ids,
        None => state.engine.channels().iter().map(|channel| channel.id.clone()).collect(),
    };
    let idempotency_key = fields.idempotency_key.unwrap_or_else(new_idempotency_key);
    SubmittedForm { idempotency_key, ticked, checked_file, file_hex, problem }
}
