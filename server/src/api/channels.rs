//! Handlers of `/api/v1/channels` and of the audit log. Everybody sees the channels; only admins
//! change them, also with an API token.

use super::{CURSOR_HELP, JsonResult};
use crate::{
    problem::Problem,
    request::{JsonBody, QueryParams},
    session::{CurrentUser, OperatorUser},
    state::AppState,
};
use axum::{
    Json,
    extract::{Path, State},
};
use contract::api::{
    AuditEntry, Channel, PaceRequest, Page, PauseRequest, UpstreamCheck, UpstreamStatus,
};
use engine::store::{AuditScope, QueueReader};

/// Returns who reads, and whether they see everybody's jobs.
fn queue_reader(user: &CurrentUser) -> QueueReader {
    QueueReader { user: user.identity.user, sees_all: user.acts_as_admin() }
}

pub async fn list(State(state): State<AppState>, _user: CurrentUser) -> JsonResult<Page<Channel>> {
    Ok(Json(Page { items: state.engine.channel_statuses().await?, next: None }))
}

pub async fn show(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(id): Path<String>,
) -> JsonResult<UpstreamStatus> {
    find(&state, &user, &id).await
}

async fn find(state: &AppState, user: &CurrentUser, id: &str) -> JsonResult<UpstreamStatus> {
    let all = state.engine.upstream_statuses(queue_reader(user)).await?;
    let found = all.into_iter().find(|upstream| upstream.id == id);
    found.map(Json).ok_or_else(Problem::not_found)
}

pub async fn pause(
    State(state): State<AppState>,
    OperatorUser(admin): OperatorUser,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<PauseRequest>,
) -> JsonResult<UpstreamStatus> {
    state.engine.pause_upstream(admin.actor(), &id, &request).await?;
    find(&state, &admin, &id).await
}

pub async fn resume(
    State(state): State<AppState>,
    OperatorUser(admin): OperatorUser,
    Path(id): Path<String>,
) -> JsonResult<UpstreamStatus> {
    state.engine.resume_upstream(admin.actor(), &id).await?;
    find(&state, &admin, &id).await
}

pub async fn change_pace(
    State(state): State<AppState>,
    OperatorUser(admin): OperatorUser,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<PaceRequest>,
) -> JsonResult<UpstreamStatus> {
    state.engine.change_pace(admin.actor(), &id, &request).await?;
    find(&state, &admin, &id).await
}

pub async fn check(
    State(state): State<AppState>,
    OperatorUser(admin): OperatorUser,
    Path(id): Path<String>,
) -> JsonResult<UpstreamCheck> {
    Ok(Json(state.engine.check_upstream(admin.actor(), &id).await?))
}

/// Returns the audit log, newest entry first.
pub async fn audit(
    State(state): State<AppState>,
    OperatorUser(_): OperatorUser,
    params: QueryParams,
) -> JsonResult<Page<AuditEntry>> {
    let params = params.reject_unknown(&["cursor", "limit"])?;
    let before = params.parse("cursor", CURSOR_HELP, |text| text.parse().ok())?;
    let limit = params.page_size()?;
    Ok(Json(state.engine.store().audit.entries(AuditScope::Everything, before, limit).await?))
}
