//! Cookies: HttpOnly, SameSite=Lax, and Secure where every origin of ours is.

use crate::{problem::Problem, state::State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

/// The value of the cookie `name`.
pub fn get(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value.to_owned())
}

/// Sets the cookie `name` below `path` for `life_s` seconds; 0 takes it away.
pub fn set(
    state: &State,
    name: &str,
    value: &str,
    path: &str,
    life_s: i64,
) -> Result<HeaderValue, Problem> {
    let secure = if state.origins.secure() { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={life_s}{secure}"
    ))
    .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "No cookie could be made."))
}
