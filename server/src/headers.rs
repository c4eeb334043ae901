//! Headers that keep an answer from being misused, on every answer.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use leptos::{context::use_context, nonce::use_nonce};
use leptos_axum::ResponseOptions;

/// Set on every answer, whatever it says itself.
const ALWAYS: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Set where an answer says nothing itself: most answers are one person's, and
/// none but pages have anything to load.
const BY_DEFAULT: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// Scripts of a page have to come from this server, whatever their nonce is: a
/// nonce that injected markup took from a tag behind it loads nothing from
/// elsewhere, and no `data:` URL. Inline scripts are left to the other policy.
const OWN_SCRIPTS: &str = "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'";

/// Adds the headers to every answer, a panic's too.
pub async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    complete(response.headers_mut());
    response
}

fn complete(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in BY_DEFAULT {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Gives the page that is rendered its content security policies. A browser
/// enforces both:
///
/// - Scripts run by the page's nonce, which only `<script>` elements carry.
///   `'wasm-unsafe-eval'` compiles the bundle. Sinks in the DOM that run what
///   they are given take only what the page's Trusted Types policy lets
///   through.
/// - [`OWN_SCRIPTS`].
pub fn content_security_policy() {
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
    let own = HeaderValue::from_static(OWN_SCRIPTS);
    options.append_header(header::CONTENT_SECURITY_POLICY, own);
}
