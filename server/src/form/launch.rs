//! Forms that launch. A file that can't be launched as it is comes back as the
//! launch page, with what was understood of it; the server keeps nothing.

mod fields;
mod sample;

use super::told::{back, back_with};
use crate::{
    page::{self, Context},
    problem::{Problem, come_again},
    session::SignedIn,
    state::State,
};
use app::data::launch::{Answered, Sent, Understood};
use axum::{
    Extension, Form, Json,
    extract::{Request, State as Extract},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use engine::{
    engine::{LaunchError, Upload, new_key},
    store,
};
use fields::Fields;

/// A larger file is not carried along by the page that answers: it has to be
/// chosen again. Bytes.
const CARRIED: usize = 512 * 1024;

/// Why a form launched nothing.
enum Refusal {
    /// The form itself.
    Form(Problem),
    Launch(LaunchError),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Form(problem)
    }
}

impl From<LaunchError> for Refusal {
    fn from(error: LaunchError) -> Self {
        Self::Launch(error)
    }
}

/// Shows what a file is understood as: to a script as data, else as a page.
/// That it can't be read is an answer too, not an error.
pub async fn check(
    Extract(state): Extract<State>,
    who: SignedIn,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let data = wants_data(request.headers());
    let fields = match Fields::read(request).await {
        Ok(fields) => fields,
        Err(problem) if data => {
            let refused = Understood::Refused(problem.detail.clone());
            return (problem.status, Json(refused)).into_response();
        }
        Err(problem) => {
            return refuse(&state, context, CHECK, Fields::default(), problem.into()).await;
        }
    };
    let _turn = state.room.turn(who.identity.user).await;
    if data {
        return Json(understand(&state, &fields).await).into_response();
    }
    if fields.name.is_empty() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, CHOOSE);
        return refuse(&state, context, CHECK, fields, problem.into()).await;
    }
    let answered = answered(&state, fields, None).await;
    page::answer(context, CHECK, StatusCode::OK, answered).await
}

const CHECK: &str = "/launch/check";
const UPLOAD: &str = "/launch/upload";
const MACHINES: &str = "/machines";
const CHOOSE: &str = "Choose a CSV file first.";

fn wants_data(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}

pub async fn upload(
    Extract(state): Extract<State>,
    who: SignedIn,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    launch(&state, &who, context, request, |fields| fields).await
}

/// The sample of 150 products, for a first try.
pub async fn sample(
    Extract(state): Extract<State>,
    who: SignedIn,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    launch(&state, &who, context, request, Fields::with_sample).await
}

async fn launch(
    state: &State,
    who: &SignedIn,
    context: Context,
    request: Request,
    complete: fn(Fields) -> Fields,
) -> Response {
    let fields = match Fields::read(request).await {
        Ok(fields) => complete(fields),
        Err(problem) => {
            return refuse(state, context, UPLOAD, Fields::default(), problem.into()).await;
        }
    };
    let _turn = state.room.turn(who.identity.user).await;
    match accept(state, who, &fields).await {
        Ok(response) => response,
        Err(refusal) => refuse(state, context, UPLOAD, fields, refusal).await,
    }
}

async fn accept(state: &State, who: &SignedIn, fields: &Fields) -> Result<Response, Refusal> {
    if fields.name.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, CHOOSE).into());
    }
    let job = state
        .engine
        .upload(Upload {
            actor: who.actor(),
            file: &fields.name,
            bytes: fields.bytes.clone(),
            channels: &fields.channels,
            skip_bad: fields.skip_bad,
            idempotency_key: fields.key.clone(),
        })
        .await?;
    Ok(Redirect::to(&format!("/jobs/{}?accepted=1", job.id)).into_response())
}

/// The launch page with what went wrong, and the file where there is one.
async fn refuse(
    state: &State,
    context: Context,
    path: &str,
    mut fields: Fields,
    refusal: Refusal,
) -> Response {
    let mut told = match refusal {
        // The rows themselves are on the page.
        Refusal::Launch(LaunchError::BadRows { .. } | LaunchError::Unreadable(_)) => None,
        Refusal::Launch(LaunchError::Store(store::Error::KeyReused)) => {
            fields.key = None;
            let words = "This form was sent before, with another file or other channels. What it \
                         launched then is among your jobs. Send it again to launch this one.";
            Some(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words))
        }
        Refusal::Launch(error) => Some(error.into()),
        Refusal::Form(problem) => Some(problem),
    };
    if let Some(problem) = told.take_if(|told| told.status == StatusCode::UNAUTHORIZED) {
        // There is nobody to show a page to.
        return problem.into_response();
    }
    let status = told.as_ref().map_or(StatusCode::UNPROCESSABLE_ENTITY, |told| told.status);
    let answered = answered(state, fields, told.map(|told| told.detail)).await;
    let mut response = page::answer(context, path, status, answered).await;
    come_again(status, response.headers_mut());
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // Not all of the body may have been read, so the connection ends here.
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn answered(state: &State, fields: Fields, problem: Option<String>) -> Answered {
    let kept = fields.bytes.len() <= CARRIED;
    let content = if kept { hex::encode(&fields.bytes) } else { String::new() };
    let sent = if fields.name.is_empty() {
        None
    } else {
        let understood = understand(state, &fields).await;
        Some(Sent { understood, name: fields.name, kept })
    };
    let ticked = match sent {
        Some(_) => fields.channels,
        None => state.engine.channels().iter().map(|channel| channel.id.clone()).collect(),
    };
    Answered { key: fields.key.unwrap_or_else(new_key), ticked, sent, content, problem }
}

async fn understand(state: &State, fields: &Fields) -> Understood {
    match state.engine.dry_run(&fields.name, fields.bytes.clone(), &[]).await {
        Ok(run) => Understood::read(run),
        Err(error) => Understood::Refused(Problem::from(error).detail),
    }
}

/// Starts machines; each gets its alarm once it runs.
pub async fn start(
    Extract(state): Extract<State>,
    who: SignedIn,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    let of = |wanted: &'static str| {
        let named = pairs.iter().filter(move |(name, _)| name == wanted);
        named.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let (key, ids) = (of("key").next(), of("ids").collect::<Vec<_>>());
    let _turn = state.room.turn(who.identity.user).await;
    match state.engine.start(who.actor(), &ids, key.clone()).await {
        Ok(job) => Redirect::to(&format!("/jobs/{}?accepted=1", job.id)).into_response(),
        Err(LaunchError::Store(store::Error::KeyReused)) => {
            let words = "This form was sent before, with other machines. What it started then is \
                         among your jobs. Send it again to start these.";
            back(MACHINES, &Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words))
        }
        Err(error) => {
            let problem = Problem::from(error);
            match key {
                // It may have been done: sent again, it is still the same form.
                Some(key) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
                    back_with(&key, MACHINES, &problem)
                }
                _ => back(MACHINES, &problem),
            }
        }
    }
}
