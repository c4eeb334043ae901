//! Forms that launch. A file that can't be launched as it is comes back as the
//! launch page, with what was understood of it; the server keeps nothing.

mod fields;
mod sample;

use super::back;
use crate::{
    page::{self, Context},
    problem::Problem,
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
    _who: SignedIn,
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
    let fields = match Fields::read(request).await {
        Ok(fields) => fields,
        Err(problem) => {
            return refuse(&state, context, UPLOAD, Fields::default(), problem.into()).await;
        }
    };
    let launched = async {
        if fields.name.is_empty() {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, CHOOSE).into());
        }
        accept(&state, &who, &fields).await
    };
    match launched.await {
        Ok(response) => response,
        Err(refusal) => refuse(&state, context, UPLOAD, fields, refusal).await,
    }
}

/// The sample of 150 products, for a first try.
pub async fn sample(
    Extract(state): Extract<State>,
    who: SignedIn,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    let fields = match Fields::read(request).await {
        Ok(fields) => fields.with_sample(),
        Err(problem) => {
            return refuse(&state, context, UPLOAD, Fields::default(), problem.into()).await;
        }
    };
    match accept(&state, &who, &fields).await {
        Ok(response) => response,
        Err(refusal) => refuse(&state, context, UPLOAD, fields, refusal).await,
    }
}

async fn accept(state: &State, who: &SignedIn, fields: &Fields) -> Result<Response, Refusal> {
    let job = state
        .engine
        .upload(Upload {
            user: who.identity.user,
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
    let told = match refusal {
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
    let status = told.as_ref().map_or(StatusCode::UNPROCESSABLE_ENTITY, |told| told.status);
    let answered = answered(state, fields, told.map(|told| told.detail)).await;
    let mut response = page::answer(context, path, status, answered).await;
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // Not all of the body may have been read, so the connection ends here.
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn answered(state: &State, fields: Fields, problem: Option<String>) -> Answered {
    let sent = if fields.name.is_empty() {
        None
    } else {
        let kept = fields.bytes.len() <= CARRIED;
        Some(Sent {
            understood: understand(state, &fields).await,
            content: if kept { hex::encode(&fields.bytes) } else { String::new() },
            name: fields.name,
            kept,
        })
    };
    let ticked = match sent {
        Some(_) => fields.channels,
        None => state.engine.channels().iter().map(|channel| channel.id.clone()).collect(),
    };
    Answered { key: fields.key.unwrap_or_else(new_key), ticked, sent, problem }
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
    match state.engine.start(who.identity.user, &ids, key).await {
        Ok(job) => Redirect::to(&format!("/jobs/{}?accepted=1", job.id)).into_response(),
        Err(error) => back("/machines", &error.into()),
    }
}
