//! Which path leads where.

use crate::{
    api, assets, body, guard, hub, measures, overload, page,
    problem::{self, Problem},
    reader_shares,
    state::State,
    token, trace,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State as Extract},
    http::StatusCode,
    middleware,
    routing::{MethodRouter, delete, get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

/// The largest file that is taken, bytes.
pub const MAX_UPLOAD: usize = engine::feed::MAX_BYTES;
/// The largest form: a file, and the fields around it. Bytes.
pub const MAX_FORM: usize = MAX_UPLOAD + 64 * 1024;

/// Routes that know their paths.
#[derive(Default)]
pub struct Routes {
    router: Router<State>,
    paths: Vec<&'static str>,
}

impl Routes {
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn route(mut self, path: &'static str, methods: MethodRouter<State>) -> Self {
        self.paths.push(path);
        self.router = self.router.route(path, methods);
        self
    }
}

/// Every route there is: [`router`] is made of these alone, so that whoever
/// reads [`Table::paths`] forgets none.
struct Table {
    pages: Routes,
    api: Routes,
    streams: Routes,
    probes: Routes,
}

const API: &str = "/api/v1";

impl Table {
    fn new() -> Self {
        let api = Routes::default()
            .route("/session", post(api::sign_in).delete(api::sign_out))
            .route("/jobs/product-uploads", post(api::upload))
            .route("/jobs/ec2-starts", post(api::start))
            .route("/jobs/noops", post(api::run_noops))
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
            .route("/instances", get(api::instances))
            .route("/tokens", get(token::list).post(token::add))
            .route("/tokens/{id}", delete(token::delete));
        let streams = Routes::default()
            .route("/ws", get(hub::connect))
            .route("/pkg/{*name}", get(assets::serve))
            .route("/sw.js", get(assets::worker))
            .route("/metrics", get(measures::read));
        let probes = Routes::default()
            .route("/healthz", get(async || StatusCode::OK))
            .route("/readyz", get(ready));
        Self { pages: page::routes(), api, streams, probes }
    }

    fn paths(self) -> Vec<String> {
        let Self { pages, api, streams, probes } = self;
        let api = api.paths.iter().map(|path| format!("{API}{path}"));
        let others = [pages, streams, probes].into_iter().flat_map(|routes| routes.paths);
        others.map(str::to_owned).chain(api).collect()
    }
}

/// Every path that is routed here. Pages are the app's to list, and server
/// functions the inventory's.
pub fn paths() -> Vec<String> {
    Table::new().paths()
}

pub fn router(state: State) -> Router {
    let Table { pages, api, streams, probes } = Table::new();
    page::serve(pages.router, &state)
        .nest(API, api.router)
        .layer(middleware::from_fn_with_state(state.clone(), reader_shares::limit))
        .merge(streams.router)
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn_with_state(state.clone(), overload::bound))
        .layer(middleware::from_fn_with_state(state.clone(), body::hear_out))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check))
        .layer(middleware::from_fn_with_state(state.clone(), problem::page::show))
        .merge(probes.router)
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(measures::count))
        .layer(TraceLayer::new_for_http().make_span_with(trace::span))
        .with_state(state)
}

async fn ready(Extract(state): Extract<State>) -> Result<&'static str, Problem> {
    state.engine.store().ping().await?;
    Ok("ready")
}
