//! The pages, rendered here and hydrated in the browser. One provider gives
//! pages, server functions and the fallback what they need.

use crate::{form, router::Routes, session::Visitor, state::State};
use axum::{
    Router,
    extract::{Request, State as Extract},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use leptos::{
    context::provide_context,
    nonce::use_nonce,
    prelude::{FromServerFnError, ServerFnError},
};
use leptos_axum::handle_server_fns_with_context;

/// What a request's pages see; made by [`gate`].
#[derive(Clone)]
struct Context {
    viewer: app::Viewer,
    engine: engine::Engine,
    assets: app::Assets,
}

impl Context {
    fn provide(&self) {
        provide_context(self.viewer.clone());
        provide_context(self.engine.clone());
        provide_context(self.assets.clone());
    }
}

/// Routes of the pages, their forms and the server functions.
pub fn routes() -> Routes {
    Routes::default()
        .route("/api/{*name}", any(server_fn))
        .route("/setup", get(render).post(form::set_up))
        .route("/sign-in", get(render).post(form::sign_in))
        .route("/sign-out", post(form::sign_out))
        .route("/launch/upload", post(form::upload))
        .route("/launch/sample", post(form::sample))
        .route("/jobs/{id}/{what}", post(form::control))
        .route("/tasks/{id}/resolve", post(form::resolve))
        .route("/notifications/read", post(form::mark_read))
}

/// Serves `routes`, and on every other path the pages themselves.
pub fn serve(routes: Router<State>, state: &State) -> Router<State> {
    routes
        .fallback(get(render))
        .layer(middleware::from_fn(gate))
        .layer(middleware::from_fn_with_state(state.clone(), context))
}

async fn server_fn(request: Request) -> Response {
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return crate::problem::Problem::not_found().into_response();
    };
    // Functions read what is somebody's; each asks for the viewer itself too.
    if context.viewer.0.is_none() {
        let error: ServerFnError = ServerFnError::ServerError("Sign in first.".into());
        return (StatusCode::UNAUTHORIZED, error.ser()).into_response();
    }
    handle_server_fns_with_context(move || context.provide(), request).await.into_response()
}

async fn render(request: Request) -> Response {
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return crate::problem::Problem::not_found().into_response();
    };
    let provide = move || {
        context.provide();
        content_security_policy();
    };
    let handler = leptos_axum::render_app_async_with_context(provide, app::shell);
    handler(request).await.into_response()
}

/// Scripts run by the nonce alone; `'wasm-unsafe-eval'` compiles the bundle.
fn content_security_policy() {
    let (Some(nonce), Some(options)) =
        (use_nonce(), leptos::context::use_context::<leptos_axum::ResponseOptions>())
    else {
        return;
    };
    let policy = format!(
        "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self'; img-src 'self' data: https:; connect-src 'self'; object-src 'none'; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        options.insert_header(header::CONTENT_SECURITY_POLICY, value);
    }
    options.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
            Err(error) => return crate::problem::Problem::from(error).into_response(),
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
    request.extensions_mut().insert(Context {
        viewer: app::Viewer(visitor.map(|visitor| visitor.identity)),
        engine: state.engine.clone(),
        assets,
    });
    next.run(request).await
}

/// Leads whoever is signed out to the page where they can act.
async fn gate(request: Request, next: Next) -> Response {
    let Some(context) = request.extensions().get::<Context>() else {
        return next.run(request).await;
    };
    let signed_in = context.viewer.0.is_some();
    let first = context.assets.first_visit;
    let path = request.uri().path();
    let reads = *request.method() == Method::GET;
    let target = match path {
        "/setup" => (!first).then_some(if signed_in { "/" } else { "/sign-in" }),
        "/sign-in" if signed_in => Some("/"),
        _ if first && reads => Some("/setup"),
        "/sign-in" => None,
        _ if !signed_in && reads && !path.starts_with("/api/") => Some("/sign-in"),
        _ => None,
    };
    match target {
        Some(target) => Redirect::to(target).into_response(),
        None => next.run(request).await,
    }
}
