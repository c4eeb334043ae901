//! All routes and the middleware around them.

use crate::{
    admission, api,
    assets::{self, Assets},
    headers, hub, metrics, origin, page,
    problem::{self, Problem, method_not_allowed},
    request,
    state::AppState,
    token, trace, work_limits,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    routing::{MethodRouter, delete, get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

/// Maximum size of an uploaded file, in bytes.
pub const MAX_UPLOAD_BYTES: usize = engine::feed::MAX_BYTES;
/// Maximum size of a form with a file and the fields around it, in bytes.
pub const MAX_FORM_BYTES: usize = MAX_UPLOAD_BYTES + 64 * 1024;
/// Maximum size of a body that lists ids, in bytes: 100,000 ids of 38 bytes.
pub const MAX_ID_LIST_BYTES: usize = 4 << 20;
/// Maximum size of all other bodies, in bytes: a few fields, see
/// `contract::text`.
pub const DEFAULT_MAX_BODY_BYTES: usize = 64 * 1024;

/// Router that remembers the paths of its routes.
#[derive(Default)]
pub struct Routes {
    router: Router<AppState>,
    paths: Vec<&'static str>,
}

impl Routes {
    /// Adds a route.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn route(mut self, path: &'static str, methods: MethodRouter<AppState>) -> Self {
        self.paths.push(path);
        self.router = self.router.route(path, methods);
        self
    }
}

/// All routes. [`router`] is built from this table only, so that
/// [`RouteTable::paths`] is complete.
struct RouteTable {
    pages: Routes,
    api: Routes,
    infrastructure: Routes,
    probes: Routes,
}

const API_PREFIX: &str = "/api/v1";

impl RouteTable {
    fn new() -> Self {
        let api = Routes::default()
            .route("/session", post(api::sign_in).delete(api::sign_out))
            .route("/jobs/product-uploads", post(api::upload).layer(max_body(MAX_FORM_BYTES)))
            .route(
                "/jobs/ec2-starts",
                post(api::start_instances).layer(max_body(MAX_ID_LIST_BYTES)),
            )
            .route("/jobs/ec2-stops", post(api::stop_instances).layer(max_body(MAX_ID_LIST_BYTES)))
            .route("/jobs/ec2-launches", post(api::launch_machines))
            .route("/launch-templates", get(api::launch_templates))
            .route("/jobs/noops", post(api::run_noops))
            .route("/jobs", get(api::jobs))
            .route("/jobs/{id}", get(api::job))
            .route("/jobs/{id}/tasks", get(api::tasks))
            .route("/jobs/{id}/left-out", get(api::left_out))
            .route("/jobs/{id}/journal", get(api::journal))
            .route("/jobs/{id}/cancel", post(api::cancel))
            .route("/jobs/{id}/pause", post(api::pause))
            .route("/jobs/{id}/resume", post(api::resume))
            .route("/jobs/{id}/retry", post(api::retry).layer(max_body(MAX_ID_LIST_BYTES)))
            .route("/tasks/{id}", get(api::task))
            .route("/tasks/{id}/resolve", post(api::resolve))
            .route("/notifications", get(api::inbox))
            .route("/notifications/read", post(api::mark_read))
            .route("/channels", get(api::channels::list))
            .route("/channels/{id}", get(api::channels::show))
            .route("/channels/{id}/pause", post(api::channels::pause))
            .route("/channels/{id}/resume", post(api::channels::resume))
            .route("/channels/{id}/pace", post(api::channels::change_pace))
            .route("/channels/{id}/check", post(api::channels::check))
            .route("/audit", get(api::channels::audit))
            .route("/instances", get(api::instances))
            .route("/tokens", get(token::list).post(token::create))
            .route("/tokens/{id}", delete(token::delete));
        let infrastructure = Routes::default()
            .route("/ws", get(hub::connect))
            .route("/pkg/{*name}", get(assets::serve))
            .route("/sw.js", get(assets::service_worker))
            .route("/asyncapi.json", get(assets::asyncapi))
            .route("/openapi.json", get(assets::openapi))
            .route("/metrics", get(metrics::metrics_endpoint));
        let probes = Routes::default()
            .route("/healthz", get(async || StatusCode::OK))
            .route("/readyz", get(readiness));
        Self { pages: page::routes(), api, infrastructure, probes }
    }

    fn paths(self) -> Vec<String> {
        let Self { pages, api, infrastructure, probes } = self;
        let api = api.paths.iter().map(|path| format!("{API_PREFIX}{path}"));
        let others = [pages, infrastructure, probes].into_iter().flat_map(|routes| routes.paths);
        others.map(str::to_owned).chain(api).collect()
    }
}

/// Limits the body of a route to `bytes`. The innermost of several limits
/// applies.
pub fn max_body(bytes: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(bytes)
}

/// Returns the paths of all routes except pages, which the app lists, and
/// server functions, which register themselves.
pub fn paths() -> Vec<String> {
    RouteTable::new().paths()
}

/// Builds the router with all routes and middleware.
pub fn router(state: AppState) -> Router {
    let RouteTable { pages, api, infrastructure, probes } = RouteTable::new();
    let api = api
        .router
        .route_layer(middleware::from_fn(request::reject_unread_parameters))
        .method_not_allowed_fallback(method_not_allowed);
    let routes = page::with_pages(pages.router, &state)
        .nest(API_PREFIX, api)
        .layer(middleware::from_fn_with_state(state.clone(), work_limits::limit_reads))
        .merge(infrastructure.router)
        .method_not_allowed_fallback(method_not_allowed);
    with_middleware(routes, probes.router, state)
}

/// Adds the middleware that every request passes through.
fn with_middleware(routes: Router<AppState>, probes: Router<AppState>, state: AppState) -> Router {
    let routes = routes
        // Within the admission, which runs a request as a task of its own.
        .layer(middleware::from_fn(trace::trace_request))
        .layer(max_body(DEFAULT_MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(state.clone(), admission::admission_middleware))
        .layer(middleware::from_fn_with_state(state.clone(), admission::body_middleware))
        .layer(middleware::from_fn_with_state(state.clone(), origin::require_own_origin));
    let routes = with_error_pages(routes, &state.assets).merge(probes);
    with_headers(routes)
        .layer(middleware::from_fn(metrics::record_request))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(trace::request_span)
                .on_failure(trace::log_failure),
        )
        .with_state(state)
}

/// Renders problems and panics as an error page for requests that accept HTML.
fn with_error_pages<S>(routes: Router<S>, assets: &Assets) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(CatchPanicLayer::custom(problem::handle_panic))
        .layer(middleware::from_fn_with_state(assets.clone(), problem::error_page::show))
}

/// Adds the security headers to every response, even if a layer panics.
fn with_headers<S>(routes: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .layer(CatchPanicLayer::custom(problem::handle_panic))
        .layer(middleware::from_fn(headers::add_security_headers))
}

async fn readiness(State(state): State<AppState>) -> Result<&'static str, Problem> {
    state.engine.store().database.ping().await?;
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
    async fn panic_is_answered_like_any_error_and_counted() {
        let _ = any_spawner::Executor::init_tokio();
        let recorder = metrics::install_recorder().unwrap();
        let (status, headers, body) = answer("/panics", "text/html").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        assert!(body.contains("<h1>Something went wrong"), "{body}");
        assert!(body.contains("may or may not have taken effect"), "{body}");
        assert!(!body.contains("a bug"), "{body}");
        let counted = recorder.render();
        let counted = counted.lines().find(|line| line.starts_with("meanwhile_panics_total "));
        assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");

        let (status, headers, body) = answer("/api/v1/panics", "*/*").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert!(body.contains("\"status\":500"), "{body}");
    }

    #[tokio::test]
    async fn error_page_of_a_panic_has_the_security_headers() {
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
