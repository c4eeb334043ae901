//! Security headers, which every response has.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use leptos::{context::use_context, nonce::use_nonce};
use leptos_axum::ResponseOptions;

/// Headers that every response gets, replacing its own.
const FORCED_HEADERS: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Headers that a response gets unless it has its own: most responses are for one
/// user only, and only pages load anything.
const DEFAULT_HEADERS: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// Policy by which a page's scripts must come from this server even if they have
/// the nonce: injected markup that takes over the nonce of a following tag can load
/// neither scripts of other sites nor `data:` URLs. The other policy controls
/// inline scripts.
const SAME_ORIGIN_SCRIPTS_POLICY: &str = "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'";

/// Adds the headers to every response, including that of a panic.
pub async fn add_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    insert_security_headers(response.headers_mut());
    response
}

fn insert_security_headers(headers: &mut HeaderMap) {
    for (name, value) in FORCED_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in DEFAULT_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Sets the content security policies of the page that is being rendered. Browsers
/// enforce both:
///
/// - Scripts run only with the page's nonce, which only `<script>` elements have.
///   `'wasm-unsafe-eval'` is needed to compile the bundle. Sinks in the DOM that
///   could run scripts accept only values that the page's Trusted Types policy
///   lets through.
/// - [`SAME_ORIGIN_SCRIPTS_POLICY`].
pub fn set_content_security_policy() {
    let (Some(nonce), Some(options)) = (use_nonce(), use_context::<ResponseOptions>()) else {
        return;
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types default"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        options.insert_header(header::CONTENT_SECURITY_POLICY, value);
    }
    let same_origin = HeaderValue::from_static(SAME_ORIGIN_SCRIPTS_POLICY);
    options.append_header(header::CONTENT_SECURITY_POLICY, same_origin);
}
