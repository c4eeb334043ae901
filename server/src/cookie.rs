//! Cookies, which are HttpOnly, SameSite=Lax, and Secure if all origins of this
//! server use HTTPS.

use crate::state::AppState;
use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use time::Duration;

/// Returns the value of the cookie `name`.
pub fn get(headers: &HeaderMap, name: &str) -> Option<String> {
    CookieJar::from_headers(headers).get(name).map(|cookie| cookie.value().to_owned())
}

/// Returns the part of a response that sets the cookie `name` below `path` for
/// `lifetime_s` seconds. It is a jar of its own, because a jar with several cookies
/// has no order.
pub fn set(
    state: &AppState,
    name: &'static str,
    value: impl Into<String>,
    path: &'static str,
    lifetime_s: i64,
) -> CookieJar {
    let cookie = Cookie::build((name, value.into()))
        .path(path)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.origins.are_https())
        .max_age(Duration::seconds(lifetime_s));
    CookieJar::new().add(cookie)
}

/// Returns the part of a response that removes the cookie `name` below `path`.
pub fn remove(state: &AppState, name: &'static str, path: &'static str) -> CookieJar {
    set(state, name, "", path, 0)
}
