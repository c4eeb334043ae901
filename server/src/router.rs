//! Which path leads where.

use crate::{api, assets, guard, hub, page, problem::Problem, state::State};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State as Extract},
    http::StatusCode,
    middleware,
    routing::{get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

/// The largest file that is taken, bytes.
pub const MAX_UPLOAD: usize = 32 * 1024 * 1024;

pub fn router(state: State) -> Router {
    let api = Router::new()
        .route("/session", post(api::sign_in).delete(api::sign_out))
        .route("/jobs/product-uploads", post(api::upload))
        .route("/jobs/ec2-starts", post(api::start))
        .route("/jobs", get(api::jobs))
        .route("/jobs/{id}", get(api::job))
        .route("/jobs/{id}/tasks", get(api::tasks))
        .route("/jobs/{id}/journal", get(api::journal))
        .route("/jobs/{id}/cancel", post(api::cancel))
        .route("/jobs/{id}/pause", post(api::pause))
        .route("/jobs/{id}/resume", post(api::resume))
        .route("/jobs/{id}/retry", post(api::retry))
        .route("/tasks/{id}", get(api::task))
        .route("/tasks/{id}/resolve", post(api::resolve))
        .route("/notifications", get(api::inbox))
        .route("/notifications/read", post(api::mark_read))
        .route("/channels", get(api::channels))
        .fallback(async || Problem::not_found());
    page::routes(&state)
        .nest("/api/v1", api)
        .route("/ws", get(hub::connect))
        .route("/pkg/{*name}", get(assets::serve))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check))
        .route("/healthz", get(async || StatusCode::OK))
        .route("/readyz", get(ready))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

async fn ready(Extract(state): Extract<State>) -> Result<&'static str, Problem> {
    state.engine.store().ping().await?;
    Ok("ready")
}
