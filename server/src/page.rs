//! The pages, rendered here and hydrated in the browser. One provider gives
//! pages, server functions and the fallback what they need.

use crate::{
    body, cookie, failed,
    form::{self, told},
    headers::content_security_policy,
    problem::{self, Problem, method_not_allowed},
    render,
    router::{MAX_FIELDS, MAX_FORM, MAX_LIST, Routes, up_to},
    session::{self, By, Visitor},
    state::State,
};
use app::{
    data::people::Theme,
    page::door::{self, Door},
};
use axum::{
    RequestExt, Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State as Extract},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use leptos::{
    context::provide_context,
    prelude::{FromServerFnError, ServerFnError},
    server_fn::axum::server_fn_paths,
};

/// What a request's pages see; made by [`context`].
#[derive(Clone)]
pub struct Context {
    viewer: app::Viewer,
    browser: app::Browser,
    engine: engine::Engine,
    assets: app::Assets,
    /// The request brought an API token.
    token: bool,
}

impl Context {
    fn provide(&self) {
        provide_context(self.viewer.clone());
        provide_context(self.browser.clone());
        provide_context(self.engine.clone());
        provide_context(self.assets.clone());
    }
}

/// Routes of the pages, their forms and the server functions.
pub fn routes() -> Routes {
    Routes::default()
        .route("/api/{*name}", any(server_function))
        .route("/setup", get(set_up).post(form::set_up))
        .route("/sign-in", get(sign_in).post(form::sign_in))
        .route("/sign-out", post(form::sign_out))
        .route("/invite/{token}", get(link).post(form::people::redeem))
        .route("/reset/{token}", get(link).post(form::people::redeem))
        .route("/people", get(people).post(form::people::invite))
        .route("/people/{id}/role", post(form::people::set_role))
        .route("/people/{id}/reset", post(form::people::reset))
        .route("/people/{id}/disable", post(form::people::disable))
        .route("/people/{id}/enable", post(form::people::enable))
        .route("/invitations/{id}/revoke", post(form::people::revoke))
        .route("/account", get(account))
        .route("/account/tokens", post(form::people::make_token))
        .route("/account/tokens/{id}/revoke", post(form::people::revoke_token))
        .route("/account/password", post(form::people::change_password))
        .route("/account/sessions/end", post(form::people::sign_out_elsewhere))
        .route("/account/theme", post(form::people::choose_theme))
        .route("/launch/check", get(app_page).post(form::launch::check).layer(up_to(MAX_FORM)))
        .route("/launch/upload", get(app_page).post(form::launch::upload).layer(up_to(MAX_FORM)))
        .route("/launch/sample", post(form::launch::sample).layer(up_to(MAX_FORM)))
        .route("/launch/machines", post(form::launch::start).layer(up_to(MAX_LIST)))
        .route("/jobs/{id}/failed.csv", get(failed::download))
        .route("/jobs/{id}/{what}", post(form::control))
        .route("/tasks/{id}/resolve", post(form::resolve))
        .route("/notifications/read", post(form::mark_read))
}

/// Serves `routes`, and on every other path the pages themselves.
pub fn serve(routes: Router<State>, state: &State) -> Router<State> {
    routes
        .fallback(get(app_page).fallback(method_not_allowed))
        .layer(middleware::from_fn(gate))
        .layer(middleware::from_fn_with_state(state.clone(), context))
}

async fn server_function(request: Request) -> Response {
    // Everything under `/api` that has no route comes here too.
    if let Some(problem) = unknown_function(&request) {
        return problem.into_response();
    }
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return Problem::not_found().into_response();
    };
    // Functions read what is somebody's; each asks for the viewer itself too.
    if context.viewer.0.is_none() {
        let error: ServerFnError = ServerFnError::ServerError("Sign in first.".into());
        return (StatusCode::UNAUTHORIZED, error.ser()).into_response();
    }
    // They read their bodies whole, whatever the router bounds.
    if body::is_over(request.headers(), MAX_FIELDS) {
        let words = "This asks for more than a page does.";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, words).into_response();
    }
    let request = request.with_limited_body();
    with_client_errors(render::server_function(move || context.provide(), request).await).await
}

/// Answers a body that could not be read with 400. The library says 500, which
/// would count a client's mistake among the failures of this server.
async fn with_client_errors(answer: Response) -> Response {
    const UNREADABLE: [&[u8]; 3] = [b"Args|", b"Deserialization|", b"MissingArg|"];
    if answer.status() != StatusCode::INTERNAL_SERVER_ERROR {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if UNREADABLE.iter().any(|kind| body.starts_with(kind)) {
        parts.status = StatusCode::BAD_REQUEST;
    }
    Response::from_parts(parts, Body::from(body))
}

/// What to answer where no server function has this path and this method.
fn unknown_function(request: &Request) -> Option<Problem> {
    let methods: Vec<_> = server_fn_paths()
        .filter(|(path, _)| *path == request.uri().path())
        .map(|(_, method)| method)
        .collect();
    match methods.contains(request.method()) {
        true => None,
        false if methods.is_empty() => Some(Problem::no_endpoint()),
        false => Some(problem::wrong_method()),
    }
}

async fn app_page(request: Request) -> Response {
    if matches!(request.uri().path(), "/api" | "/api/") {
        return Problem::no_endpoint().into_response();
    }
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return Problem::not_found().into_response();
    };
    let provide = move || {
        context.provide();
        content_security_policy();
    };
    render::page(provide, app::shell, request).await
}

/// The launch page as the answer to a form, at the form's own `path`.
pub async fn answer(
    context: Context,
    path: &str,
    status: StatusCode,
    answered: app::data::launch::Answered,
) -> Response {
    let mut request = Request::default();
    match path.parse() {
        Ok(path) => *request.uri_mut() = path,
        Err(error) => tracing::error!(%error, path, "not a path"),
    }
    let provide = move || {
        context.provide();
        provide_context(answered.clone());
        content_security_policy();
    };
    let mut response = render::page(provide, app::shell, request).await;
    if response.status().is_success() {
        *response.status_mut() = status;
    }
    response
}

/// The accounts, and once the one-time link that was just made.
async fn people(Extract(state): Extract<State>, mut request: Request) -> Response {
    let Some((link, gone)) = form::people::new_link(&state, request.headers()).await else {
        return app_page(request).await;
    };
    if let Some(context) = request.extensions_mut().get_mut::<Context>() {
        context.browser.new_link = Some(link);
    }
    let mut response = app_page(request).await;
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

/// One's own account, and once the secret of the API token that was just made.
async fn account(Extract(state): Extract<State>, mut request: Request) -> Response {
    let Some(context) = request.extensions().get::<Context>() else {
        return app_page(request).await;
    };
    let Some(who) = context.viewer.0.as_ref().map(|who| who.user) else {
        return app_page(request).await;
    };
    let made = form::people::new_token(&state, request.headers(), who).await;
    let Some((secret, gone)) = made else { return app_page(request).await };
    if let Some(context) = request.extensions_mut().get_mut::<Context>() {
        context.browser.new_token = Some(secret);
    }
    let mut response = app_page(request).await;
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

async fn set_up(told: Query<Told>, request: Request) -> Response {
    door(|assets| Door::SetUp { token: assets.set_up_token }, told, request).await
}

async fn sign_in(told: Query<Told>, request: Request) -> Response {
    door(|_| Door::SignIn, told, request).await
}

async fn door(
    which: fn(&app::Assets) -> Door,
    Query(told): Query<Told>,
    request: Request,
) -> Response {
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return Problem::not_found().into_response();
    };
    let provide = move || {
        context.provide();
        provide_context(which(&context.assets));
        provide_context(door::Problem(told.problem.clone()));
        content_security_policy();
    };
    render::page(provide, door::document, request).await
}

#[derive(serde::Deserialize)]
struct Told {
    problem: Option<String>,
}

/// The page of a one-time link. It has no scripts, so nothing of it is sent
/// anywhere but by its form.
async fn link(
    Extract(state): Extract<State>,
    Path(token): Path<String>,
    Query(told): Query<Told>,
    request: Request,
) -> Response {
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return Problem::not_found().into_response();
    };
    let (status, offer) = match session::link(&state, &token).await {
        Ok(link) => {
            let offer = app::page::link::Offer::Good {
                invitation: link.purpose == engine::store::Purpose::Invitation,
                email: link.email,
                action: request.uri().path().to_owned(),
                problem: told.problem,
            };
            (StatusCode::OK, offer)
        }
        Err(problem) => (problem.status, app::page::link::Offer::Dead(problem.detail)),
    };
    let provide = move || {
        context.provide();
        provide_context(offer.clone());
        content_security_policy();
    };
    let mut response = render::page(provide, app::page::link::document, request).await;
    *response.status_mut() = status;
    response
}

/// Puts what pages need beside the request.
async fn context(
    Extract(state): Extract<State>,
    Visitor(visitor): Visitor,
    mut request: Request,
    next: Next,
) -> Response {
    let first_visit = match &visitor {
        Some(_) => false,
        None => match state.engine.store().has_accounts().await {
            Ok(any) => !any,
            Err(error) => return Problem::from(error).into_response(),
        },
    };
    let assets = app::Assets {
        js: state.assets.js.clone(),
        wasm: state.assets.wasm.clone(),
        css: state.assets.css.clone(),
        sandbox: true,
        first_visit,
        set_up_token: state.set_up_token.is_some(),
    };
    let theme = cookie::get(request.headers(), form::people::THEME);
    let browser = app::Browser {
        session: visitor.as_ref().map(|visitor| visitor.session.clone()).unwrap_or_default(),
        theme: theme.as_deref().map(Theme::from_word).unwrap_or_default(),
        new_link: None,
        new_token: None,
    };
    let token = visitor.as_ref().is_some_and(|visitor| visitor.by == By::Token);
    request.extensions_mut().insert(Context {
        viewer: app::Viewer(visitor.map(|visitor| visitor.identity)),
        browser,
        engine: state.engine.clone(),
        assets,
        token,
    });
    next.run(request).await
}

/// Leads whoever is signed out to the page where they can act, and whoever
/// brings words from elsewhere to the page without them.
async fn gate(request: Request, next: Next) -> Response {
    let Some(context) = request.extensions().get::<Context>() else {
        return next.run(request).await;
    };
    // A token reads no people and ends no session: of what is here it is for
    // the file of failed items alone.
    let path = request.uri().path();
    if context.token && !path.ends_with("/failed.csv") && !path.starts_with("/api/v1/") {
        let words = "Pages and their forms are for browsers. A token is for /api/v1.";
        return Problem::new(StatusCode::FORBIDDEN, words).into_response();
    }
    let reads = *request.method() == Method::GET;
    if reads && let Some(plain) = told::unasked(request.uri(), request.headers()) {
        return Redirect::to(&plain).into_response();
    }
    let signed_in = context.viewer.0.is_some();
    let first = context.assets.first_visit;
    let path = request.uri().path();
    let target = match path {
        "/setup" => (!first).then_some(if signed_in { "/" } else { "/sign-in" }),
        "/sign-in" if signed_in => Some("/"),
        _ if first && reads => Some("/setup"),
        "/sign-in" => None,
        _ if path.starts_with("/invite/") || path.starts_with("/reset/") => None,
        _ if !signed_in && reads && !path.starts_with("/api/") => Some("/sign-in"),
        _ => None,
    };
    match target {
        Some(target) => Redirect::to(target).into_response(),
        None => next.run(request).await,
    }
}
