//! Handler of the forms by which admins edit failed commands and have them run again.

use super::flash::redirect_with_problem;
use crate::{
    page::{self, PageContext},
    problem::Problem,
    session::AdminUser,
    state::AppState,
};
use app::page::operations::SubmittedEdit;
use axum::{
    Extension, Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use contract::TaskId;
use engine::{engine::ReplayReport, store::Actor};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct CommandForm {
    /// Id of the task, or of the reason whose items run again. A field named `id` would take the
    /// place of the form's own id in the browser.
    subject: String,
    /// Time until which the items of the reason had failed when the page was shown, UTC ms.
    #[serde(default)]
    until: i64,
    /// Revision of the body that was shown.
    #[serde(default)]
    revision: u32,
    /// The edited body.
    #[serde(default)]
    body: String,
    /// `replay` if the task runs again with what was edited.
    #[serde(default)]
    then: String,
}

pub async fn submit(
    State(state): State<AppState>,
    AdminUser(admin): AdminUser,
    Path(part): Path<String>,
    Extension(context): Extension<PageContext>,
    Form(form): Form<CommandForm>,
) -> Result<Response, Problem> {
    let (state, actor) = (&state, admin.actor());
    match part.as_str() {
        "failures" => replay_reason(state, actor, &form).await,
        "task" => {
            let task = form.subject.parse().map_err(|_| Problem::not_found())?;
            replay(state, actor, task, form.revision).await
        }
        "edit" => edit(state, actor, context, form).await,
        _ => Err(Problem::not_found()),
    }
}

async fn edit(
    state: &AppState,
    actor: Actor,
    context: PageContext,
    form: CommandForm,
) -> Result<Response, Problem> {
    let CommandForm { subject, revision, body, then, .. } = form;
    let task: TaskId = subject.parse().map_err(|_| Problem::not_found())?;
    let edited = state.engine.edit_command(actor.clone(), task, revision, &body).await;
    match edited.map_err(Problem::from) {
        Ok(is_changed) if then == "replay" => {
            replay(state, actor, task, revision.saturating_add(is_changed.into())).await
        }
        Ok(_) => Ok(Redirect::to(&task_page(task)).into_response()),
        Err(problem)
            if matches!(
                problem.status,
                StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT
            ) =>
        {
            let submitted = SubmittedEdit { revision, body, problem: problem.detail };
            let path = format!("/operations/edit?id={task}");
            Ok(page::form_page(context, &path, problem.status, submitted).await)
        }
        Err(problem) => Err(problem),
    }
}

async fn replay(
    state: &AppState,
    actor: Actor,
    task: TaskId,
    revision: u32,
) -> Result<Response, Problem> {
    let page = task_page(task);
    match state.engine.replay_task(actor, task, revision).await.map_err(Problem::from) {
        Ok(()) => Ok(Redirect::to(&page).into_response()),
        Err(problem)
            if matches!(problem.status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) =>
        {
            Ok(redirect_with_problem(&page, &problem))
        }
        Err(problem) => Err(problem),
    }
}

async fn replay_reason(
    state: &AppState,
    actor: Actor,
    form: &CommandForm,
) -> Result<Response, Problem> {
    let report = state.engine.replay_reason(actor, &form.subject, form.until).await?;
    // Nothing else than an id, which is hexadecimal, gets into the URL.
    let is_id = form.subject.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_id { &*form.subject } else { "" };
    let page = format!("/operations/failures?id={id}");
    match describe_left(&report) {
        None => Ok(Redirect::to(&page).into_response()),
        Some(words) => Ok(redirect_with_problem(&page, &Problem::new(StatusCode::CONFLICT, words))),
    }
}

/// Says that some items don't run again; `None` if all do.
fn describe_left(report: &ReplayReport) -> Option<String> {
    let ReplayReport { replayed, left, why } = report;
    let why = why.as_deref().unwrap_or("They run again already, or have ended otherwise.");
    match (replayed, left) {
        (0, 0) => Some("No item fails for this reason any more: nothing was changed.".into()),
        (_, 0) => None,
        (0, _) => Some(format!("None of the items was replayed. {why}")),
        _ => Some(format!("{replayed} were replayed, and {left} were not. {why}")),
    }
}

fn task_page(task: TaskId) -> String {
    format!("/operations/task?id={task}")
}
