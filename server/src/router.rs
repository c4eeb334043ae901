//! Which path leads where.

use crate::{
    api,
    assets::{self, Assets},
    body, guard, headers, hub, measures, overload, page,
    problem::{self, Problem, method_not_allowed},
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
/// The largest body that names many things by their ids: 100,000 of 38 bytes.
/// Bytes.
pub const MAX_LIST: usize = 4 << 20;
/// The largest of all other bodies, bytes: some fields, see `contract::text`.
pub const MAX_FIELDS: usize = 64 * 1024;

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
            .route("/jobs/product-uploads", post(api::upload).layer(up_to(MAX_FORM)))
            .route("/jobs/ec2-starts", post(api::start).layer(up_to(MAX_LIST)))
            .route("/jobs/noops", post(api::run_noops))
            .route("/jobs", get(api::jobs))
            .route("/jobs/{id}", get(api::job))
            .route("/jobs/{id}/tasks", get(api::tasks))
            .route("/jobs/{id}/journal", get(api::journal))
            .route("/jobs/{id}/cancel", post(api::cancel))
            .route("/jobs/{id}/pause", post(api::pause))
            .route("/jobs/{id}/resume", post(api::resume))
            .route("/jobs/{id}/retry", post(api::retry).layer(up_to(MAX_LIST)))
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

/// Bounds the body that a route reads, in bytes. Of several the innermost
/// holds.
pub fn up_to(bytes: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(bytes)
}

/// Every path that is routed here. Pages are the app's to list, and server
/// functions the inventory's.
pub fn paths() -> Vec<String> {
    Table::new().paths()
}

pub fn router(state: State) -> Router {
    let Table { pages, api, streams, probes } = Table::new();
    let api = api.router.method_not_allowed_fallback(method_not_allowed);
    let routes = page::serve(pages.router, &state)
        .nest(API, api)
        .layer(middleware::from_fn_with_state(state.clone(), reader_shares::limit))
        .merge(streams.router)
        .method_not_allowed_fallback(method_not_allowed);
    layered(routes, probes.router, state)
}

/// Puts around the routes what every request passes through.
fn layered(routes: Router<State>, probes: Router<State>, state: State) -> Router {
    let routes = routes
        .layer(up_to(MAX_FIELDS))
        .layer(middleware::from_fn_with_state(state.clone(), overload::bound))
        .layer(middleware::from_fn_with_state(state.clone(), body::hear_out))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check));
    let routes = with_error_pages(routes, &state.assets).merge(probes);
    with_headers(routes)
        .layer(middleware::from_fn(measures::count))
        .layer(TraceLayer::new_for_http().make_span_with(trace::span))
        .with_state(state)
}

/// Answers problems, panics among them, with a page where a browser shows it.
fn with_error_pages<S>(routes: Router<S>, assets: &Assets) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(assets.clone(), problem::page::show))
}

/// Gives every answer its headers, also where one of the layers panics.
fn with_headers<S>(routes: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn(headers::protect))
}

async fn ready(Extract(state): Extract<State>) -> Result<&'static str, Problem> {
    state.engine.store().ping().await?;
    Ok("ready")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::{Body, to_bytes},
        http::{HeaderMap, Request, header},
    };
    use tower::ServiceExt;

    async fn panics() {
        panic!("a bug");
    }

    async fn answer(path: &str, accept: &str) -> (StatusCode, HeaderMap, String) {
        #[allow(clippy::disallowed_methods)]
        let routes = Router::new()
            .route("/panics", get(panics))
            .route("/api/v1/panics", get(panics))
            .route("/answers", get(async || "hello"));
        let routes = with_headers(with_error_pages(routes, &Assets::default()));
        let request = Request::get(path).header(header::ACCEPT, accept);
        let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_every_error_is_and_counted() {
        let _ = any_spawner::Executor::init_tokio();
        let recorder = measures::begin().unwrap();
        let (status, headers, body) = answer("/panics", "text/html").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        assert!(body.contains("<h1>Something went wrong"), "{body}");
        assert!(body.contains("It may have done what was asked for or not"), "{body}");
        assert!(!body.contains("a bug"), "{body}");
        let counted = recorder.text();
        let counted = counted.lines().find(|line| line.starts_with("meanwhile_panics_total "));
        assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");

        let (status, headers, body) = answer("/api/v1/panics", "*/*").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert!(body.contains("\"status\":500"), "{body}");
    }

    #[tokio::test]
    async fn the_page_of_a_panic_has_the_headers_of_every_page() {
        let _ = any_spawner::Executor::init_tokio();
        for path in ["/panics", "/api/v1/panics", "/answers", "/nothing"] {
            for accept in ["text/html", "application/json"] {
                let (_, headers, _) = answer(path, accept).await;
                for (name, value) in [
                    ("cache-control", "no-store"),
                    ("referrer-policy", "same-origin"),
                    ("x-content-type-options", "nosniff"),
                    ("x-frame-options", "DENY"),
                ] {
                    let found = headers.get(name).map(|found| found.to_str().unwrap());
                    assert_eq!(found, Some(value), "{name} of {path} as {accept}");
                }
                let policy = headers["content-security-policy"].to_str().unwrap();
                assert!(policy.starts_with("default-src 'none'"), "{policy}");
            }
        }
    }
}
