//! Problems as pages: programs read JSON, people don't.

use super::Problem;
use crate::{
    assets::Assets,
    cookie,
    form::{
        self,
        flash::{self, same_origin_referer},
    },
    headers::set_content_security_policy,
    render,
};
use app::{page, theme::Theme};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use contract::api;
use leptos::context::provide_context;

/// Maximum size of a problem's JSON, in bytes.
const MAX_PROBLEM_BYTES: usize = 1024 * 1024;

/// Replaces problem details by a page if the browser navigates to the response.
/// Redirects users who are signed out and have sent a form to the sign-in.
pub async fn show(State(assets): State<Assets>, request: Request, next: Next) -> Response {
    let is_navigation = is_navigation(&request);
    let is_post = *request.method() == Method::POST;
    let signs_out = request.uri().path() == "/sign-out";
    let (theme, referer) = (
        cookie::get(request.headers(), form::accounts::THEME_COOKIE),
        same_origin_referer(request.headers()),
    );
    let response = next.run(request).await;
    let is_problem = response.headers().get(header::CONTENT_TYPE) == Some(&super::PROBLEM_JSON);
    if !is_navigation || !is_problem {
        return response;
    }
    let (parts, body) = response.into_parts();
    let mut message = read_detail(body).await;
    if parts.status == StatusCode::NOT_FOUND {
        message = "The address is wrong, or what was here belongs to someone else.".into();
    }
    if parts.status == StatusCode::UNAUTHORIZED && is_post {
        let mut redirect = match signs_out {
            // The user is signed out already.
            true => Redirect::to("/sign-in").into_response(),
            false => flash::redirect_with_problem("/sign-in", &Problem::signed_out()),
        };
        copy_headers(&parts.headers, redirect.headers_mut());
        return redirect;
    }
    let assets = app::Assets { css: assets.css, ..app::Assets::default() };
    let theme = theme.as_deref().map(Theme::from_name).unwrap_or_default();
    let browser = app::BrowserState { theme, ..app::BrowserState::default() };
    let link = match (is_post, parts.status) {
        (true, _) => Some((referer.unwrap_or_else(|| "/".into()), "Back to the page")),
        (false, StatusCode::NOT_FOUND) => None,
        // An empty URL leads to the same address.
        (false, _) => Some((String::new(), "Try again")),
    };
    let error_page = page::error_page::ErrorPage { title: title(parts.status), message, link };
    let provide = move || {
        provide_context(assets.clone());
        provide_context(browser.clone());
        provide_context(error_page.clone());
        set_content_security_policy();
    };
    let mut page = render::page(provide, page::error_page::document, Request::default()).await;
    *page.status_mut() = parts.status;
    copy_headers(&parts.headers, page.headers_mut());
    page
}

/// Whether a browser will show the response as a page.
fn is_navigation(request: &Request) -> bool {
    let html = |accepted: &HeaderValue| accepted.to_str().is_ok_and(|a| a.contains("text/html"));
    !request.uri().path().starts_with("/api/")
        && request.headers().get(header::ACCEPT).is_some_and(html)
}

async fn read_detail(body: Body) -> String {
    let problem = to_bytes(body, MAX_PROBLEM_BYTES).await.ok();
    let problem = problem.and_then(|json| serde_json::from_slice::<api::Problem>(&json).ok());
    problem.map_or_else(|| "The reason is not known.".into(), |problem| problem.detail)
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            "Temporarily unavailable"
        }
        StatusCode::INTERNAL_SERVER_ERROR => "Something went wrong",
        _ => "The request was rejected",
    }
}

/// Copies headers that don't describe the body, such as those for security, the
/// connection and `Retry-After`, unless `to` has its own.
fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    let mut own: Vec<_> = to.keys().cloned().collect();
    own.extend([header::CONTENT_TYPE, header::CONTENT_LENGTH]);
    for (name, value) in from.iter().filter(|(name, _)| !own.contains(name)) {
        to.append(name, value.clone());
    }
}
