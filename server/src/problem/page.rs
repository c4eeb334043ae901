//! Problems as pages: a program reads JSON, a person does not.

use super::Problem;
use crate::{
    assets::Assets,
    cookie,
    form::{
        self,
        told::{self, came_from},
    },
    headers::content_security_policy,
    render,
};
use app::{data::people::Theme, page::trouble};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State as Extract},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use contract::api;
use leptos::context::provide_context;

/// No problem has more words than this, bytes.
const MOST: usize = 1024 * 1024;

/// Answers a browser that shows what it is answered with a page; who posted a
/// form and is signed out is led to where they sign in.
pub async fn show(Extract(assets): Extract<Assets>, request: Request, next: Next) -> Response {
    let navigates = navigates(&request);
    let posts = *request.method() == Method::POST;
    let leaves = request.uri().path() == "/sign-out";
    let (theme, page) =
        (cookie::get(request.headers(), form::people::THEME), came_from(request.headers()));
    let response = next.run(request).await;
    let problem = response.headers().get(header::CONTENT_TYPE) == Some(&super::JSON);
    if !navigates || !problem {
        return response;
    }
    let (parts, body) = response.into_parts();
    let mut words = words(body).await;
    if parts.status == StatusCode::NOT_FOUND {
        words = "The address is wrong, or what was here belongs to someone else.".into();
    }
    if parts.status == StatusCode::UNAUTHORIZED && posts {
        let mut led = match leaves {
            // That is done.
            true => Redirect::to("/sign-in").into_response(),
            false => told::back("/sign-in", &Problem::signed_out()),
        };
        keep(&parts.headers, led.headers_mut());
        return led;
    }
    let assets = app::Assets { css: assets.css, ..app::Assets::default() };
    let theme = theme.as_deref().map(Theme::from_word).unwrap_or_default();
    let browser = app::Browser { theme, ..app::Browser::default() };
    let way = match (posts, parts.status) {
        (true, _) => Some((page.unwrap_or_else(|| "/".into()), "Back to the page")),
        (false, StatusCode::NOT_FOUND) => None,
        // The same address.
        (false, _) => Some((String::new(), "Try again")),
    };
    let trouble = trouble::Trouble { title: title(parts.status), words, way };
    let provide = move || {
        provide_context(assets.clone());
        provide_context(browser.clone());
        provide_context(trouble.clone());
        content_security_policy();
    };
    let mut page = render::page(provide, trouble::document, Request::default()).await;
    *page.status_mut() = parts.status;
    keep(&parts.headers, page.headers_mut());
    page
}

/// Whether the answer will be what a person sees.
fn navigates(request: &Request) -> bool {
    let html = |accepted: &HeaderValue| accepted.to_str().is_ok_and(|a| a.contains("text/html"));
    !request.uri().path().starts_with("/api/")
        && request.headers().get(header::ACCEPT).is_some_and(html)
}

async fn words(body: Body) -> String {
    let problem = to_bytes(body, MOST).await.ok();
    let problem = problem.and_then(|json| serde_json::from_slice::<api::Problem>(&json).ok());
    problem.map_or_else(|| "It is not known why.".into(), |problem| problem.detail)
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "Not just now",
        StatusCode::INTERNAL_SERVER_ERROR => "Something went wrong",
        _ => "This was not done",
    }
}

/// Headers that don't speak of the body: of safety, of the connection, of when
/// to come again.
fn keep(from: &HeaderMap, to: &mut HeaderMap) {
    let mut own: Vec<_> = to.keys().cloned().collect();
    own.extend([header::CONTENT_TYPE, header::CONTENT_LENGTH]);
    for (name, value) in from.iter().filter(|(name, _)| !own.contains(name)) {
        to.append(name, value.clone());
    }
}
