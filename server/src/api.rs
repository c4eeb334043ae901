//! Handlers of `/api/v1` for programs. They cover launching, watching and
//! controlling jobs, notifications and API tokens.

pub mod channels;

use crate::{
    client::ClientAddress,
    problem::Problem,
    request::{JsonBody, QueryParams},
    router::MAX_UPLOAD_BYTES,
    session::{self, CurrentUser},
    state::AppState,
};
use axum::{
    Json, RequestExt,
    body::Bytes,
    extract::{Path, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{
    JobId, TaskId,
    api::{
        Inbox, InstanceList, Job, LaunchMachines, LaunchResponse, LaunchTemplateList, ListProblem,
        MarkRead, Page, ResolveRequest, RetryRequest, RunNoops, SignIn, StartInstances, Task,
        TaskDetail,
    },
    fact::Fact,
    feed::{
        BadRow, ColumnMapping, DecimalSeparator, DraftChoice, Encoding, PriceChoice, ReadOptions,
        ZeroPriceChoice,
    },
    state::{JobKind, JobState, TaskState},
};
use engine::{
    engine::{MachineLaunchRequest, TemplateVersion, Upload},
    machines::{Listing, MachineLocation},
    store::{JobControl, JobQuery, TaskQuery},
};
use ingress::request_body;
use uuid::Uuid;

type JsonResult<T> = Result<Json<T>, Problem>;

fn parse_id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

pub async fn sign_in(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    JsonBody(credentials): JsonBody<SignIn>,
) -> Result<Response, Problem> {
    let SignIn { email, password } = credentials;
    let cookies = session::sign_in(&state, address, &headers, &email, password).await?;
    Ok((StatusCode::NO_CONTENT, cookies, ()).into_response())
}

pub async fn sign_out(
    State(state): State<AppState>,
    user: CurrentUser,
) -> Result<Response, Problem> {
    session::sign_out(&state, &user).await?;
    Ok((StatusCode::NO_CONTENT, session::removal_cookie(&state)).into_response())
}

/// Reads a file that is the whole request body.
async fn read_file(request: Request) -> Result<Bytes, Problem> {
    if request_body::exceeds(request.headers(), MAX_UPLOAD_BYTES) {
        return Err(Problem::payload_too_large());
    }
    let body: Result<Bytes, BytesRejection> = request.extract().await;
    let bytes = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::payload_too_large(),
        status => Problem::new(status, "The file did not arrive completely. Send it again."),
    })?;
    if bytes.len() > MAX_UPLOAD_BYTES { Err(Problem::payload_too_large()) } else { Ok(bytes) }
}

pub async fn upload(
    State(state): State<AppState>,
    user: CurrentUser,
    params: QueryParams,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_file(request).await?;
    let params = params.reject_unknown(&[
        "channels",
        "skip_bad",
        "dry_run",
        "file",
        "map",
        "decimal",
        "price",
        "drafts",
        "zero_price",
        "sheet",
        "encoding",
    ])?;
    let options = read_options(&params)?;
    let channels = params.get("channels").unwrap_or_default().split(',');
    let channels: Vec<_> = channels.filter(|id| !id.is_empty()).map(str::to_owned).collect();
    let name = params.get("file").unwrap_or("products.csv");
    let skip_bad = params.parse_bool("skip_bad")?;
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    if params.parse_bool("dry_run")? {
        return Ok(
            Json(state.engine.dry_run(name, body, &channels, options).await?).into_response()
        );
    }
    let job = state
        .engine
        .upload_products(Upload {
            actor: user.actor(),
            file_name: name,
            bytes: body,
            channels: &channels,
            skip_bad,
            options,
            idempotency_key: idempotency_key(&headers)?,
        })
        .await?;
    Ok(accepted_response(job))
}

/// Returns how the file is to be read.
fn read_options(params: &QueryParams) -> Result<ReadOptions, Problem> {
    let map = params.get("map").unwrap_or_default().parse::<ColumnMapping>();
    let map = map.map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("`map` can't be read: {error}."))
    })?;
    Ok(ReadOptions {
        map,
        decimal: params.parse_variant("decimal", DecimalSeparator::ALL)?,
        price: params.parse_variant("price", PriceChoice::ALL)?,
        drafts: params.parse_variant("drafts", DraftChoice::ALL)?,
        zero_price: params.parse_variant("zero_price", ZeroPriceChoice::ALL)?,
        sheet: params.get("sheet").map(str::to_owned),
        encoding: params.parse_variant("encoding", Encoding::ALL)?,
    })
}

pub async fn start_instances(
    State(state): State<AppState>,
    user: CurrentUser,
    headers: HeaderMap,
    JsonBody(start): JsonBody<StartInstances>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    let (ids, location) = locate(&state, start).await;
    Ok(accepted_response(state.engine.start_machines(user.actor(), &ids, location, key).await?))
}

pub async fn stop_instances(
    State(state): State<AppState>,
    user: CurrentUser,
    headers: HeaderMap,
    JsonBody(stop): JsonBody<StartInstances>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    let (ids, location) = locate(&state, stop).await;
    Ok(accepted_response(state.engine.stop_machines(user.actor(), &ids, location, key).await?))
}

/// Returns the ids of a request, and where unlisted machines are.
async fn locate(
    state: &AppState,
    request: StartInstances,
) -> (Vec<String>, Option<MachineLocation>) {
    let StartInstances { instance_ids, account, region } = request;
    let location = location_of(account, region);
    let machines = state.engine.machines();
    if location.is_none() && machines.locations().len() > 1 {
        // Where each machine is may not be known yet.
        let _ = machines.list().await;
    }
    (instance_ids, location)
}

fn location_of(account: Option<String>, region: Option<String>) -> Option<MachineLocation> {
    (account.is_some() || region.is_some()).then(|| MachineLocation {
        account: account.unwrap_or_default(),
        region: region.unwrap_or_default(),
    })
}

pub async fn launch_machines(
    State(state): State<AppState>,
    user: CurrentUser,
    headers: HeaderMap,
    JsonBody(launch): JsonBody<LaunchMachines>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let LaunchMachines { template, version, count, name, account, region } = launch;
    let version = match version.as_deref() {
        None | Some("default") => TemplateVersion::Default,
        Some("latest") => TemplateVersion::Latest,
        Some(number) => match number.parse() {
            Ok(number) => TemplateVersion::Number(number),
            Err(_) => {
                let detail = "`version` must be a number, `default` or `latest`.";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
            }
        },
    };
    let location = location_of(account, region);
    let request = MachineLaunchRequest { template, version, count, name, location };
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    Ok(accepted_response(state.engine.launch_machines(user.actor(), request, key).await?))
}

pub async fn launch_templates(
    State(state): State<AppState>,
    _user: CurrentUser,
) -> JsonResult<LaunchTemplateList> {
    let listing = state.engine.machines().launch_templates().await?;
    Ok(Json(LaunchTemplateList { items: listing.items.to_vec(), problems: problems(&listing) }))
}

/// Launches tasks that do nothing. Answers 404 unless the configuration allows them.
pub async fn run_noops(
    State(state): State<AppState>,
    user: CurrentUser,
    headers: HeaderMap,
    JsonBody(noops): JsonBody<RunNoops>,
) -> Result<Response, Problem> {
    if !state.accepts_noops {
        return Err(Problem::not_found());
    }
    let key = idempotency_key(&headers)?;
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    Ok(accepted_response(state.engine.run_noops(user.actor(), noops.count, key).await?))
}

pub async fn instances(
    State(state): State<AppState>,
    _user: CurrentUser,
) -> JsonResult<InstanceList> {
    let listing = state.engine.machines().list().await?;
    Ok(Json(InstanceList { items: listing.items.to_vec(), problems: problems(&listing) }))
}

fn problems<T>(listing: &Listing<T>) -> Vec<ListProblem> {
    let problems = listing.problems.iter().map(|(location, error)| {
        let MachineLocation { account, region } = location.clone();
        ListProblem { account, region, detail: error.to_string() }
    });
    problems.collect()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= 255 => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "The Idempotency-Key must have 1 to 255 visible characters.",
        )),
    }
}

fn accepted_response(job: Job) -> Response {
    let location = format!("/api/v1/jobs/{}", job.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(LaunchResponse { job }))
        .into_response()
}

pub async fn jobs(
    State(state): State<AppState>,
    user: CurrentUser,
    params: QueryParams,
) -> JsonResult<Page<Job>> {
    let params = params.reject_unknown(&["cursor", "limit", "state", "kind"])?;
    let query = JobQuery {
        before: params.parse("cursor", CURSOR_HELP, |text| text.parse().ok())?,
        limit: params.page_size()?,
        state: params.parse_variant("state", JobState::ALL)?,
        kind: params.parse_variant("kind", JobKind::ALL)?,
        search_text: None,
    };
    Ok(Json(state.engine.store().jobs.find_jobs(user.identity.user, query).await?))
}

const CURSOR_HELP: &str = "the value of `next` in the previous page";

pub async fn job(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
) -> JsonResult<Job> {
    let job = state.engine.store().jobs.job(user.identity.user, JobId(parse_id(&job)?)).await?;
    Ok(Json(state.engine.with_eta(job, user.identity.user).await?))
}

pub async fn tasks(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
    params: QueryParams,
) -> JsonResult<Page<Task>> {
    let store = state.engine.store();
    let (user_id, job) = (user.identity.user, JobId(parse_id(&job)?));
    let channels = store.jobs.job(user_id, job).await?.channels;
    let params = params.reject_unknown(&["cursor", "limit", "state", "channel", "q"])?;
    let limit = params.page_size()?;
    let query = TaskQuery {
        after: params.parse("cursor", CURSOR_HELP, parse_task_cursor)?,
        limit,
        state: params.parse_variant("state", TaskState::ALL)?,
        channel: params.parse("channel", channels.join(", "), |id| {
            channels.iter().find(|channel| *channel == id).cloned()
        })?,
        search_text: params.get("q").map(str::to_owned),
    };
    let mut items = store.jobs.find_tasks(user_id, job, query).await?;
    state.engine.explain_pauses(items.iter_mut()).await?;
    let is_full = items.len() == limit as usize;
    let next = items.last().filter(|_| is_full).map(|task| format!("{}:{}", task.row, task.id));
    Ok(Json(Page { items, next }))
}

/// Returns the rows of the job's file that were left out, in the order of the file.
pub async fn left_out(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
    params: QueryParams,
) -> JsonResult<Page<BadRow>> {
    let store = state.engine.store();
    let (user_id, job) = (user.identity.user, JobId(parse_id(&job)?));
    let params = params.reject_unknown(&["cursor", "limit"])?;
    let after = params.parse("cursor", CURSOR_HELP, |text| text.parse().ok())?.unwrap_or(0);
    let limit = params.page_size()?;
    let rows = store.jobs.left_out_rows(user_id, job, after, limit).await?;
    let is_full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| is_full).map(|last| last.row.line.to_string());
    Ok(Json(Page { items: rows.into_iter().map(|left_out| left_out.row).collect(), next }))
}

fn parse_task_cursor(cursor: &str) -> Option<(i64, Uuid)> {
    let (row, id) = cursor.split_once(':')?;
    Some((row.parse().ok()?, id.parse().ok()?))
}

pub async fn journal(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
    params: QueryParams,
) -> JsonResult<Page<Fact>> {
    let store = state.engine.store();
    let (user_id, job) = (user.identity.user, JobId(parse_id(&job)?));
    store.jobs.job(user_id, job).await?;
    let after =
        params.reject_unknown(&["after"])?.parse_integer("after", 0..=i64::MAX)?.unwrap_or(0);
    let items = store.journal.job_journal(user_id, job, after, 500).await?;
    let next = items.last().filter(|_| items.len() == 500).map(|fact| fact.seq.to_string());
    Ok(Json(Page { items, next }))
}

pub async fn task(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(task): Path<String>,
) -> JsonResult<TaskDetail> {
    let task = TaskId(parse_id(&task)?);
    let mut found = state.engine.store().jobs.task(user.identity.user, task).await?;
    state.engine.explain_pauses(std::iter::once(&mut found.task)).await?;
    Ok(Json(found))
}

async fn control(
    state: &AppState,
    user: &CurrentUser,
    job: &str,
    control: JobControl,
) -> Result<Response, Problem> {
    Ok(accepted_response(
        state.engine.control_job(user.actor(), JobId(parse_id(job)?), control).await?,
    ))
}

pub async fn cancel(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    control(&state, &user, &job, JobControl::Cancel).await
}

pub async fn pause(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    control(&state, &user, &job, JobControl::Pause).await
}

pub async fn resume(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
) -> Result<Response, Problem> {
    control(&state, &user, &job, JobControl::Resume).await
}

pub async fn retry(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(job): Path<String>,
    JsonBody(retry): JsonBody<RetryRequest>,
) -> Result<Response, Problem> {
    Ok(accepted_response(
        state.engine.retry_tasks(user.actor(), JobId(parse_id(&job)?), &retry).await?,
    ))
}

pub async fn resolve(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(task): Path<String>,
    JsonBody(resolve): JsonBody<ResolveRequest>,
) -> Result<Response, Problem> {
    let task = TaskId(parse_id(&task)?);
    Ok(accepted_response(state.engine.resolve_task(user.actor(), task, resolve.resolution).await?))
}

pub async fn inbox(State(state): State<AppState>, user: CurrentUser) -> JsonResult<Inbox> {
    Ok(Json(state.engine.store().journal.inbox(user.identity.user, 100).await?))
}

pub async fn mark_read(
    State(state): State<AppState>,
    user: CurrentUser,
    JsonBody(read): JsonBody<MarkRead>,
) -> Result<StatusCode, Problem> {
    state.engine.mark_notifications_read(user.actor(), read.up_to).await?;
    Ok(StatusCode::NO_CONTENT)
}
