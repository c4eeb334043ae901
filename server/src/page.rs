//! The pages, which are rendered here and hydrated in the browser. Pages, server
//! functions and the fallback get their contexts from one [`PageContext`].

use crate::{
    cookie, failed_csv,
    form::{self, flash},
    headers::set_content_security_policy,
    problem::{self, Problem, method_not_allowed},
    render,
    router::{DEFAULT_MAX_BODY_BYTES, MAX_FORM_BYTES, MAX_ID_LIST_BYTES, Routes, max_body},
    session::{self, AuthMethod, OptionalUser},
    state::AppState,
};
use app::{
    page::{
        api_reference,
        auth::{self, AuthPage},
        compare::ComparisonStatus,
    },
    server::{CurrentIdentity, GuardedEngine},
    theme::Theme,
};
use axum::{
    RequestExt, Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use ingress::request_body;
use leptos::{
    context::provide_context,
    prelude::{FromServerFnError, ServerFnError},
    server_fn::axum::server_fn_paths,
};

/// What the pages of a request can see. [`attach_context`] creates it.
#[derive(Clone)]
pub struct PageContext {
    viewer: CurrentIdentity,
    browser: app::BrowserState,
    engine: GuardedEngine,
    assets: app::Assets,
    comparison: ComparisonStatus,
    /// Whether the request was authenticated with an API token.
    is_api_token: bool,
}

impl PageContext {
    fn provide(&self) {
        provide_context(self.viewer.clone());
        provide_context(self.browser.clone());
        provide_context(self.engine.clone());
        provide_context(self.assets.clone());
        provide_context(self.comparison.clone());
    }
}

/// Returns the routes of the pages, their forms and the server functions.
pub fn routes() -> Routes {
    Routes::default()
        .route("/api/{*name}", any(server_function))
        .route("/setup", get(set_up_page).post(form::set_up))
        .route("/sign-in", get(sign_in_page).post(form::sign_in))
        .route("/sign-out", post(form::sign_out))
        .route("/invite/{token}", get(one_time_link_page).post(form::accounts::redeem))
        .route("/reset/{token}", get(one_time_link_page).post(form::accounts::redeem))
        .route("/people", get(accounts_page).post(form::accounts::invite))
        .route("/people/{id}/role", post(form::accounts::set_role))
        .route("/people/{id}/reset", post(form::accounts::create_reset_link))
        .route("/people/{id}/disable", post(form::accounts::disable))
        .route("/people/{id}/enable", post(form::accounts::enable))
        .route("/invitations/{id}/revoke", post(form::accounts::revoke_invitation))
        .route("/channels/{id}/{what}", post(form::channels::control))
        .route("/operations/audit.csv", get(failed_csv::download_audit))
        .route("/compare", get(app_page).post(form::compare::run))
        .route("/compare/result.json", get(form::compare::result))
        .route(
            "/operations/{part}",
            get(app_page).post(form::failed_commands::submit).layer(max_body(MAX_ID_LIST_BYTES)),
        )
        .route("/account", get(account_page))
        .route("/docs/api", get(api_reference_page))
        .route("/account/tokens", post(form::accounts::create_token))
        .route("/account/tokens/{id}/revoke", post(form::accounts::revoke_token))
        .route("/account/password", post(form::accounts::change_password))
        .route("/account/sessions/end", post(form::accounts::sign_out_elsewhere))
        .route("/account/theme", post(form::accounts::choose_theme))
        .route(
            "/launch/check",
            get(app_page).post(form::launch::preview).layer(max_body(MAX_FORM_BYTES)),
        )
        .route(
            "/launch/upload",
            get(app_page).post(form::launch::upload).layer(max_body(MAX_FORM_BYTES)),
        )
        .route("/launch/sample", post(form::launch::upload_sample).layer(max_body(MAX_FORM_BYTES)))
        .route(
            "/launch/machines",
            get(app_page).post(form::launch::submit_machines).layer(max_body(MAX_ID_LIST_BYTES)),
        )
        .route("/jobs/{id}/failed.csv", get(failed_csv::download))
        .route("/jobs/{id}/left-out.csv", get(failed_csv::download_left_out))
        .route("/jobs/{id}/{what}", post(form::control))
        .route("/tasks/{id}/resolve", post(form::resolve))
        .route("/notifications/read", post(form::mark_read))
}

/// Adds the pages to `routes` as the fallback for all other paths.
pub fn with_pages(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    routes
        .fallback(get(app_page).fallback(method_not_allowed))
        .layer(middleware::from_fn(redirect_or_reject))
        .layer(middleware::from_fn_with_state(state.clone(), attach_context))
}

async fn server_function(request: Request) -> Response {
    // All paths under `/api` without a route lead here too.
    if let Some(problem) = unknown_function(&request) {
        return problem.into_response();
    }
    let Some(context) = request.extensions().get::<PageContext>().cloned() else {
        return Problem::not_found().into_response();
    };
    // Server functions read a user's data. Each checks the user as well.
    if context.viewer.0.is_none() {
        let error: ServerFnError = ServerFnError::ServerError("Sign in first.".into());
        return (StatusCode::UNAUTHORIZED, error.ser()).into_response();
    }
    // Server functions read the whole body, regardless of the router's limit.
    if request_body::exceeds(request.headers(), DEFAULT_MAX_BODY_BYTES) {
        let detail = "This request is larger than any that a page sends.";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response();
    }
    let request = request.with_limited_body();
    with_client_errors(render::server_function(move || context.provide(), request).await).await
}

/// Changes the status to 400 if the arguments could not be read. The library
/// answers 500, which would count a client's mistake as a failure of this server.
async fn with_client_errors(response: Response) -> Response {
    const ARGUMENT_ERRORS: [&[u8]; 3] = [b"Args|", b"Deserialization|", b"MissingArg|"];
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if ARGUMENT_ERRORS.iter().any(|kind| body.starts_with(kind)) {
        parts.status = StatusCode::BAD_REQUEST;
    }
    Response::from_parts(parts, Body::from(body))
}

/// Returns the problem if no server function has this path and this method.
fn unknown_function(request: &Request) -> Option<Problem> {
    let methods: Vec<_> = server_fn_paths()
        .filter(|(path, _)| *path == request.uri().path())
        .map(|(_, method)| method)
        .collect();
    match methods.contains(request.method()) {
        true => None,
        false if methods.is_empty() => Some(Problem::endpoint_not_found()),
        false => Some(problem::method_not_allowed_problem()),
    }
}

async fn app_page(request: Request) -> Response {
    if matches!(request.uri().path(), "/api" | "/api/") {
        return Problem::endpoint_not_found().into_response();
    }
    let Some(context) = request.extensions().get::<PageContext>().cloned() else {
        return Problem::not_found().into_response();
    };
    let provide = move || {
        context.provide();
        set_content_security_policy();
    };
    render::page(provide, app::app_document, request).await
}

/// Renders a page with a form as the response to that form, for the form's own `path`. The page
/// continues with what was submitted.
pub async fn form_page<Submitted: Clone + Send + Sync + 'static>(
    context: PageContext,
    path: &str,
    status: StatusCode,
    form: Submitted,
) -> Response {
    let mut request = Request::default();
    match path.parse() {
        Ok(path) => *request.uri_mut() = path,
        Err(error) => tracing::error!(%error, path, "the path of a form is invalid"),
    }
    let provide = move || {
        context.provide();
        provide_context(form.clone());
        set_content_security_policy();
    };
    let mut response = render::page(provide, app::app_document, request).await;
    if response.status().is_success() {
        *response.status_mut() = status;
    }
    response
}

/// Renders the list of accounts, with the one-time link that was just created if
/// it has not been shown yet.
async fn accounts_page(State(state): State<AppState>, mut request: Request) -> Response {
    let Some((link, removal_cookie)) =
        form::accounts::take_new_link(&state, request.headers()).await
    else {
        return app_page(request).await;
    };
    if let Some(context) = request.extensions_mut().get_mut::<PageContext>() {
        context.browser.new_link = Some(link);
    }
    (removal_cookie, app_page(request).await).into_response()
}

/// Renders the user's own account, with the secret of the API token that was just
/// created if it has not been shown yet.
async fn account_page(State(state): State<AppState>, mut request: Request) -> Response {
    let Some(context) = request.extensions().get::<PageContext>() else {
        return app_page(request).await;
    };
    let Some(user_id) = context.viewer.0.as_ref().map(|identity| identity.user) else {
        return app_page(request).await;
    };
    let new_token = form::accounts::take_new_token(&state, request.headers(), user_id).await;
    let Some((secret, removal_cookie)) = new_token else { return app_page(request).await };
    if let Some(context) = request.extensions_mut().get_mut::<PageContext>() {
        context.browser.new_token = Some(secret);
    }
    (removal_cookie, app_page(request).await).into_response()
}

/// Renders the reference of the API, with examples for the origin that the browser uses.
async fn api_reference_page(State(state): State<AppState>, request: Request) -> Response {
    let Some(context) = request.extensions().get::<PageContext>().cloned() else {
        return Problem::not_found().into_response();
    };
    let origin = state.origins.requested_origin(request.headers()).unwrap_or_default().to_owned();
    let provide = move || {
        context.provide();
        provide_context(api_reference::ApiOrigin(origin.clone()));
        set_content_security_policy();
    };
    render::page(provide, api_reference::document, request).await
}

async fn set_up_page(query: Query<FlashQuery>, request: Request) -> Response {
    auth_page(
        |assets| AuthPage::SetUp { requires_token: assets.setup_token_required },
        query,
        request,
    )
    .await
}

async fn sign_in_page(query: Query<FlashQuery>, request: Request) -> Response {
    auth_page(|_| AuthPage::SignIn, query, request).await
}

async fn auth_page(
    select_page: fn(&app::Assets) -> AuthPage,
    Query(query): Query<FlashQuery>,
    request: Request,
) -> Response {
    let Some(context) = request.extensions().get::<PageContext>().cloned() else {
        return Problem::not_found().into_response();
    };
    let provide = move || {
        context.provide();
        provide_context(select_page(&context.assets));
        provide_context(auth::FormError(query.problem.clone()));
        set_content_security_policy();
    };
    render::page(provide, auth::document, request).await
}

/// Flash parameters that the pages of this module show.
#[derive(serde::Deserialize)]
struct FlashQuery {
    problem: Option<String>,
}

/// Renders the page of a one-time link. It has no scripts, so only its form can
/// send the token anywhere.
async fn one_time_link_page(
    State(state): State<AppState>,
    Path(token): Path<String>,
    Query(query): Query<FlashQuery>,
    request: Request,
) -> Response {
    let Some(context) = request.extensions().get::<PageContext>().cloned() else {
        return Problem::not_found().into_response();
    };
    let (status, link) = match session::find_link(&state, &token).await {
        Ok(link) => {
            let valid = app::page::one_time_link::OneTimeLink::Valid {
                is_invitation: link.purpose == engine::store::LinkPurpose::Invitation,
                email: link.email,
                action: request.uri().path().to_owned(),
                problem: query.problem,
            };
            (StatusCode::OK, valid)
        }
        Err(problem) => {
            (problem.status, app::page::one_time_link::OneTimeLink::Invalid(problem.detail))
        }
    };
    let provide = move || {
        context.provide();
        provide_context(link.clone());
        set_content_security_policy();
    };
    let mut response = render::page(provide, app::page::one_time_link::document, request).await;
    *response.status_mut() = status;
    response
}

/// Adds the [`PageContext`] to the request's extensions.
async fn attach_context(
    State(state): State<AppState>,
    OptionalUser(user): OptionalUser,
    mut request: Request,
    next: Next,
) -> Response {
    let needs_setup = match &user {
        Some(_) => false,
        None => match state.engine.store().accounts.has_users().await {
            Ok(has_users) => !has_users,
            Err(error) => return Problem::from(error).into_response(),
        },
    };
    let assets = app::Assets {
        js: state.assets.js.clone(),
        wasm: state.assets.wasm.clone(),
        css: state.assets.css.clone(),
        needs_setup,
        setup_token_required: state.set_up_token.is_some(),
    };
    let theme = cookie::get(request.headers(), form::accounts::THEME_COOKIE);
    let browser = app::BrowserState {
        session_hash: user.as_ref().map(|user| user.credential_hash.clone()).unwrap_or_default(),
        theme: theme.as_deref().map(Theme::from_name).unwrap_or_default(),
        new_link: None,
        new_token: None,
    };
    let is_api_token = user.as_ref().is_some_and(|user| user.auth_method == AuthMethod::Token);
    request.extensions_mut().insert(PageContext {
        viewer: CurrentIdentity(user.map(|user| user.identity)),
        browser,
        engine: GuardedEngine::new(state.engine.clone()),
        assets,
        comparison: state.comparison.status(),
        is_api_token,
    });
    next.run(request).await
}

/// Redirects signed-out users to the page where they can sign in or set up, and
/// requests with flash parameters of another site to the page without them.
/// Rejects API tokens.
async fn redirect_or_reject(request: Request, next: Next) -> Response {
    let Some(context) = request.extensions().get::<PageContext>() else {
        return next.run(request).await;
    };
    // An API token can't read accounts or end sessions. Among these routes it can
    // only get the file of failed items.
    let path = request.uri().path();
    if context.is_api_token && !path.ends_with(".csv") && !path.starts_with("/api/v1/") {
        let detail = "Pages and their forms are for browsers. Use an API token for /api/v1.";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    let is_get = *request.method() == Method::GET;
    if is_get && let Some(url) = flash::without_foreign_flash(request.uri(), request.headers()) {
        return Redirect::to(&url).into_response();
    }
    let signed_in = context.viewer.0.is_some();
    let needs_setup = context.assets.needs_setup;
    let path = request.uri().path();
    let target = match path {
        "/setup" => (!needs_setup).then_some(if signed_in { "/" } else { "/sign-in" }),
        "/sign-in" if signed_in => Some("/"),
        _ if needs_setup && is_get => Some("/setup"),
        "/sign-in" => None,
        _ if path.starts_with("/invite/") || path.starts_with("/reset/") => None,
        _ if !signed_in && is_get && !path.starts_with("/api/") => Some("/sign-in"),
        _ => None,
    };
    match target {
        Some(target) => Redirect::to(target).into_response(),
        None => next.run(request).await,
    }
}
