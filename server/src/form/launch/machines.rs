//! Handler of the form that starts machines.

use crate::{
    form::flash::{redirect_with_problem, redirect_with_problem_and_key},
    page::{self, PageContext},
    problem::Problem,
    session::CurrentUser,
    state::AppState,
};
use app::page::machines::SubmittedMachines;
use axum::{
    Extension, Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use contract::instance_id::{InstanceIdError, parse_instance_ids};
use engine::{
    engine::{LaunchError, new_idempotency_key},
    store,
};

const FORM_PATH: &str = "/launch/machines";
const MACHINES_PATH: &str = "/machines";
/// Values of the buttons that answer the question about unknown machines.
const START: &str = "start";
const LEAVE_OUT: &str = "leave_out";

/// Starts machines, which were ticked or whose ids were pasted. Each gets an alarm once
/// it runs. Ids that the account does not contain are asked about first: they may be
/// mistyped.
pub async fn start_machines(
    State(state): State<AppState>,
    user: CurrentUser,
    Extension(context): Extension<PageContext>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    let values_of = |wanted: &'static str| {
        let matching = pairs.iter().filter(move |(name, _)| name == wanted);
        matching.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let key = values_of("key").next().map(str::to_owned);
    let answer = values_of("unknown").next();
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    let submitted = || SubmittedMachines {
        idempotency_key: key.clone().unwrap_or_else(new_idempotency_key),
        ids: values_of("ids").collect::<Vec<_>>().join("\n"),
        unknown: Vec::new(),
        problem: None,
    };
    let mut ids = match parse_instance_ids(values_of("ids")) {
        Ok(ids) => ids,
        // There is nothing to keep in the form.
        Err(InstanceIdError::Empty) => Vec::new(),
        Err(error @ InstanceIdError::Invalid(_)) => {
            let problem = Some(error.to_string());
            return form_page(context, SubmittedMachines { problem, ..submitted() }).await;
        }
    };
    if answer != Some(START) && !ids.is_empty() {
        let unknown = state.engine.machines().find_unknown(&ids).await;
        match answer {
            Some(LEAVE_OUT) => ids.retain(|id| !unknown.contains(id)),
            _ if !unknown.is_empty() => {
                return form_page(context, SubmittedMachines { unknown, ..submitted() }).await;
            }
            _ => {}
        }
    }
    match state.engine.start_machines(user.actor(), &ids, None, key.clone()).await {
        Ok(job) => Redirect::to(&format!("/jobs/{}?accepted=1", job.id)).into_response(),
        Err(LaunchError::Store(store::Error::KeyReused)) => {
            let detail = "This form was already sent with different machines. Your jobs include what \
                         it started. Send it again to start these.";
            redirect_with_problem(
                MACHINES_PATH,
                &Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
            )
        }
        Err(error) => {
            let problem = Problem::from(error);
            match key {
                // The launch may have been committed, so the form uses the same key again.
                Some(key) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
                    redirect_with_problem_and_key(&key, MACHINES_PATH, &problem)
                }
                _ => redirect_with_problem(MACHINES_PATH, &problem),
            }
        }
    }
}

/// Renders the page of the machines with the ids that were sent, because nothing was
/// started.
async fn form_page(context: PageContext, submitted: SubmittedMachines) -> Response {
    page::launch_page(context, FORM_PATH, StatusCode::UNPROCESSABLE_ENTITY, submitted).await
}
