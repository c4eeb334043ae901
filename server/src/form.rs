//! The pages' plain forms: they work with and without scripts, and answer
//! with where to go next.

pub mod launch;
pub mod people;
pub mod told;

use crate::{api, client::Client, problem::Problem, session, session::SignedIn, state::State};
use axum::{
    Form,
    extract::{Path, State as Extract},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use contract::{
    JobId, TaskId,
    api::{ResolveAs, RetryWhich, SignIn},
};
use engine::store::Control;
use serde::Deserialize;
use told::back;

fn signed_in(result: Result<session::Cookies, Problem>, page: &str) -> Response {
    match result {
        Ok(cookies) => (cookies, Redirect::to("/")).into_response(),
        Err(problem) => back(page, &problem),
    }
}

#[derive(Deserialize)]
pub struct SetUp {
    email: String,
    password: String,
    #[serde(default)]
    token: String,
}

pub async fn set_up(Extract(state): Extract<State>, Form(who): Form<SetUp>) -> Response {
    signed_in(session::set_up(&state, &who.email, who.password, &who.token).await, "/setup")
}

pub async fn sign_in(
    Extract(state): Extract<State>,
    Client(address): Client,
    headers: HeaderMap,
    Form(who): Form<SignIn>,
) -> Response {
    let result = session::sign_in(&state, address, &headers, &who.email, who.password).await;
    signed_in(result, "/sign-in")
}

pub async fn sign_out(Extract(state): Extract<State>, who: SignedIn) -> Result<Response, Problem> {
    api::end_session(&state, who).await?;
    let cookie = session::no_cookie(&state)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

#[derive(Deserialize)]
pub struct Which {
    channel: Option<String>,
    task: Option<TaskId>,
    /// What the job's page showed, as the query of its address.
    #[serde(default)]
    shown: String,
}

pub async fn control(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path((job, what)): Path<(JobId, String)>,
    Form(which): Form<Which>,
) -> Result<Response, Problem> {
    let actor = who.actor();
    let changed = match what.as_str() {
        "cancel" => state.engine.control(actor, job, Control::Cancel).await,
        "pause" => state.engine.control(actor, job, Control::Pause).await,
        "resume" => state.engine.control(actor, job, Control::Resume).await,
        "retry" => {
            let failed = RetryWhich {
                tasks: which.task.map(|task| vec![task]),
                channel: which.channel.filter(|channel| !channel.is_empty()),
            };
            state.engine.retry(actor, job, &failed).await
        }
        _ => return Err(Problem::not_found()),
    };
    let page = format!("/jobs/{job}{}", query(&which.shown));
    match changed.map_err(Problem::from) {
        Ok(_) => Ok(Redirect::to(&page).into_response()),
        Err(problem)
            if matches!(problem.status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) =>
        {
            Ok(back(&page, &problem))
        }
        Err(problem) => Err(problem),
    }
}

/// `shown` where it is the query of an address and nothing else.
fn query(shown: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"?=&%_.+-~".contains(&byte);
    if shown.starts_with('?') && shown.bytes().all(plain) { shown } else { "" }
}

#[derive(Deserialize)]
pub struct ResolveForm {
    #[serde(rename = "as")]
    how: ResolveAs,
    #[serde(default)]
    shown: String,
}

pub async fn resolve(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(task): Path<TaskId>,
    Form(form): Form<ResolveForm>,
) -> Result<Redirect, Problem> {
    let job = state.engine.resolve(who.actor(), task, form.how).await?;
    Ok(Redirect::to(&format!("/jobs/{}{}", job.id, query(&form.shown))))
}

#[derive(Deserialize)]
pub struct ReadForm {
    up_to: i64,
}

pub async fn mark_read(
    Extract(state): Extract<State>,
    who: SignedIn,
    Form(form): Form<ReadForm>,
) -> Result<Redirect, Problem> {
    state.engine.mark_read(who.actor(), form.up_to).await?;
    Ok(Redirect::to("/inbox"))
}
