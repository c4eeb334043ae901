//! Cookies, which are HttpOnly, SameSite=Lax, and Secure if all origins of this
//! server use HTTPS.

use crate::{problem::Problem, state::AppState};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

/// Returns the value of the cookie `name`.
pub fn get(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(cookie, _)| *cookie == name)
        .map(|(_, value)| value.to_owned())
}

/// Returns the header value that sets the cookie `name` below `path` for
/// `lifetime_s` seconds; 0 removes it.
///
/// # Errors
/// 500 if a header can't contain the value.
pub fn set(
    state: &AppState,
    name: &str,
    value: &str,
    path: &str,
    lifetime_s: i64,
) -> Result<HeaderValue, Problem> {
    let secure = if state.origins.are_https() { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={lifetime_s}{secure}"
    ))
    .map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The server could not create a cookie.")
    })
}
