//! `/api/v1` for programs. The same use cases as the pages'.

use crate::{
    body,
    client::Client,
    problem::Problem,
    request::{Body, Params},
    router::MAX_UPLOAD,
    session::{self, By, SignedIn},
    state::State,
};
use axum::{
    Json, RequestExt,
    body::Bytes,
    extract::{Path, Request, State as Extract, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{
    JobId, TaskId,
    api::{
        Accepted, Channel, Inbox, Instance, Job, MarkRead, Page, Resolve, RetryWhich, RunNoops,
        SignIn, StartInstances, Task, TaskDetail,
    },
    fact::Fact,
    state::{JobKind, JobState, TaskState},
};
use engine::{
    broker::News,
    engine::Upload,
    store::{Control, JobQuery, TaskQuery},
};
use uuid::Uuid;

type Answer<T> = Result<Json<T>, Problem>;

fn id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

pub async fn sign_in(
    Extract(state): Extract<State>,
    Client(address): Client,
    headers: HeaderMap,
    Body(who): Body<SignIn>,
) -> Result<Response, Problem> {
    let cookies = session::sign_in(&state, address, &headers, &who.email, who.password).await?;
    Ok((StatusCode::NO_CONTENT, cookies).into_response())
}

pub async fn sign_out(Extract(state): Extract<State>, who: SignedIn) -> Result<Response, Problem> {
    end_session(&state, who).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, session::no_cookie(&state)?)])
        .into_response())
}

/// Ends the session and closes its sockets.
pub async fn end_session(state: &State, who: SignedIn) -> Result<(), Problem> {
    if who.by == By::Token {
        let words = "A token has no session to end. Revoke it: DELETE /api/v1/tokens/{id}.";
        return Err(Problem::new(StatusCode::CONFLICT, words));
    }
    state.engine.store().end_session(&who.session).await?;
    let user = who.identity.user;
    state.engine.broker().announce(News::SignedOut { user, session: Some(who.session) });
    Ok(())
}

/// A file that is the whole body.
async fn file(request: Request) -> Result<Bytes, Problem> {
    if body::is_over(request.headers(), MAX_UPLOAD) {
        return Err(Problem::too_large());
    }
    let read: Result<Bytes, BytesRejection> = request.extract().await;
    let bytes = read.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        status => Problem::new(status, "The file did not arrive whole. Send it again."),
    })?;
    if bytes.len() > MAX_UPLOAD { Err(Problem::too_large()) } else { Ok(bytes) }
}

pub async fn upload(
    Extract(state): Extract<State>,
    who: SignedIn,
    params: Params,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = file(request).await?;
    let params = params.only(&["channels", "skip_bad", "dry_run", "file"])?;
    let channels = params.text("channels").unwrap_or_default().split(',');
    let channels: Vec<_> = channels.filter(|id| !id.is_empty()).map(str::to_owned).collect();
    let name = params.text("file").unwrap_or("products.csv");
    let skip_bad = params.flag("skip_bad")?;
    let _turn = state.room.turn(who.identity.user).await;
    if params.flag("dry_run")? {
        return Ok(Json(state.engine.dry_run(name, body, &channels).await?).into_response());
    }
    let job = state
        .engine
        .upload(Upload {
            actor: who.actor(),
            file: name,
            bytes: body,
            channels: &channels,
            skip_bad,
            idempotency_key: idempotency_key(&headers)?,
        })
        .await?;
    Ok(accepted(job))
}

pub async fn start(
    Extract(state): Extract<State>,
    who: SignedIn,
    headers: HeaderMap,
    Body(start): Body<StartInstances>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let _turn = state.room.turn(who.identity.user).await;
    Ok(accepted(state.engine.start(who.actor(), &start.instance_ids, key).await?))
}

/// Not found, unless the configuration asks for it.
pub async fn run_noops(
    Extract(state): Extract<State>,
    who: SignedIn,
    headers: HeaderMap,
    Body(noops): Body<RunNoops>,
) -> Result<Response, Problem> {
    if !state.noops {
        return Err(Problem::not_found());
    }
    let key = idempotency_key(&headers)?;
    let _turn = state.room.turn(who.identity.user).await;
    Ok(accepted(state.engine.run_noops(who.actor(), noops.count, key).await?))
}

pub async fn instances(Extract(state): Extract<State>, _who: SignedIn) -> Answer<Page<Instance>> {
    let machines = state.engine.machines().read().await?;
    Ok(Json(Page { items: machines.to_vec(), next: None }))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= 255 => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "The Idempotency-Key has to be 1 to 255 visible characters.",
        )),
    }
}

fn accepted(job: Job) -> Response {
    let location = format!("/api/v1/jobs/{}", job.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Accepted { job })).into_response()
}

pub async fn jobs(
    Extract(state): Extract<State>,
    who: SignedIn,
    params: Params,
) -> Answer<Page<Job>> {
    let params = params.only(&["cursor", "limit", "state", "kind"])?;
    let query = JobQuery {
        before: params.read("cursor", CURSOR, |text| text.parse().ok())?,
        limit: params.limit()?,
        state: params.word("state", JobState::ALL)?,
        kind: params.word("kind", JobKind::ALL)?,
        words: None,
    };
    Ok(Json(state.engine.store().find_jobs(who.identity.user, query).await?))
}

const CURSOR: &str = "what `next` of the page before says";

pub async fn job(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
) -> Answer<Job> {
    let job = state.engine.store().job(who.identity.user, JobId(id(&job)?)).await?;
    Ok(Json(state.engine.with_time_left(job, who.identity.user).await?))
}

pub async fn tasks(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
    params: Params,
) -> Answer<Page<Task>> {
    let store = state.engine.store();
    let (user, job) = (who.identity.user, JobId(id(&job)?));
    let channels = store.job(user, job).await?.channels;
    let params = params.only(&["cursor", "limit", "state", "channel", "q"])?;
    let limit = params.limit()?;
    let query = TaskQuery {
        after: params.read("cursor", CURSOR, place)?,
        limit,
        state: params.word("state", TaskState::ALL)?,
        channel: params.read("channel", channels.join(", "), |id| {
            channels.iter().find(|channel| *channel == id).cloned()
        })?,
        words: params.text("q").map(str::to_owned),
    };
    let items = store.find_tasks(user, job, query).await?;
    let full = items.len() == limit as usize;
    let next = items.last().filter(|_| full).map(|task| format!("{}:{}", task.row, task.id));
    Ok(Json(Page { items, next }))
}

fn place(cursor: &str) -> Option<(i64, Uuid)> {
    let (row, id) = cursor.split_once(':')?;
    Some((row.parse().ok()?, id.parse().ok()?))
}

pub async fn journal(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
    params: Params,
) -> Answer<Page<Fact>> {
    let store = state.engine.store();
    let (user, job) = (who.identity.user, JobId(id(&job)?));
    store.job(user, job).await?;
    let after = params.only(&["after"])?.number("after", 0..=i64::MAX)?.unwrap_or(0);
    let items = store.job_journal(user, job, after, 500).await?;
    let next = items.last().filter(|_| items.len() == 500).map(|fact| fact.seq.to_string());
    Ok(Json(Page { items, next }))
}

pub async fn task(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(task): Path<String>,
) -> Answer<TaskDetail> {
    Ok(Json(state.engine.store().task(who.identity.user, TaskId(id(&task)?)).await?))
}

async fn control(
    state: &State,
    who: &SignedIn,
    job: &str,
    control: Control,
) -> Result<Response, Problem> {
    Ok(accepted(state.engine.control(who.actor(), JobId(id(job)?), control).await?))
}

pub async fn cancel(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    control(&state, &who, &job, Control::Cancel).await
}

pub async fn pause(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    control(&state, &who, &job, Control::Pause).await
}

pub async fn resume(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    control(&state, &who, &job, Control::Resume).await
}

pub async fn retry(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(job): Path<String>,
    Body(which): Body<RetryWhich>,
) -> Result<Response, Problem> {
    Ok(accepted(state.engine.retry(who.actor(), JobId(id(&job)?), &which).await?))
}

pub async fn resolve(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(task): Path<String>,
    Body(resolve): Body<Resolve>,
) -> Result<Response, Problem> {
    let task = TaskId(id(&task)?);
    Ok(accepted(state.engine.resolve(who.actor(), task, resolve.how).await?))
}

pub async fn inbox(Extract(state): Extract<State>, who: SignedIn) -> Answer<Inbox> {
    Ok(Json(state.engine.store().inbox(who.identity.user, 100).await?))
}

pub async fn mark_read(
    Extract(state): Extract<State>,
    who: SignedIn,
    Body(read): Body<MarkRead>,
) -> Result<StatusCode, Problem> {
    state.engine.mark_read(who.actor(), read.up_to).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn channels(Extract(state): Extract<State>, _who: SignedIn) -> Answer<Page<Channel>> {
    Ok(Json(Page { items: state.engine.channels_now().await?, next: None }))
}
