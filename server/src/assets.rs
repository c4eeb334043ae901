//! The pages' bundle: carried in a release binary, read from the folder in a
//! debug one. Names carry a hash, so browsers may keep them for ever.

use crate::problem::Problem;
use axum::{
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;
use serde::Deserialize;
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

#[derive(RustEmbed)]
#[folder = "../target/site"]
struct Site;

/// Paths of the bundle's files; empty where there is no bundle.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Assets {
    #[serde(default)]
    pub js: String,
    #[serde(default)]
    pub wasm: String,
    #[serde(default)]
    pub css: String,
}

impl Assets {
    /// As the bundle's manifest says.
    pub fn load() -> Self {
        let manifest = Site::get("manifest.json");
        let parsed = manifest.and_then(|file| serde_json::from_slice(&file.data).ok());
        if parsed.is_none() {
            tracing::warn!("there is no bundle of pages: they are served without scripts");
        }
        let Self { js, wasm, css } = parsed.unwrap_or_default();
        let path = |name: String| if name.is_empty() { name } else { format!("/{name}") };
        Self { js: path(js), wasm: path(wasm), css: path(css) }
    }
}

/// `GET /pkg/{*name}`.
pub async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("pkg/{name}");
    let accepted =
        headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    for (encoding, ending) in [("br", ".br"), ("gzip", ".gz"), ("", "")] {
        if !accepted.contains(encoding) {
            continue;
        }
        if let Some(file) = content(&format!("{path}{ending}")) {
            let mut response = Body::from(file).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(&name)));
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=31536000, immutable"),
            );
            if !encoding.is_empty() {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
            return response;
        }
    }
    Problem::not_found().into_response()
}

/// Returns the bytes of a file of the bundle, which all answers share: a client
/// that reads slowly keeps no copy of its own.
fn content(path: &str) -> Option<Bytes> {
    /// Files that a debug binary has read. Their names carry a hash of their
    /// content, so that what was read stays true.
    static READ: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);
    // Many who ask for the same file at once have it read once.
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = read.get(path) {
        return Some(bytes.clone());
    }
    match Site::get(path)?.data {
        Cow::Borrowed(bytes) => Some(Bytes::from_static(bytes)),
        Cow::Owned(bytes) => {
            let bytes = Bytes::from(bytes);
            read.insert(path.to_owned(), bytes.clone());
            Some(bytes)
        }
    }
}

/// `GET /sw.js`: what tells a browser while no tab is seen. Its name can
/// carry no hash, so browsers ask each time whether it changed.
pub async fn worker() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (HeaderName::from_static("service-worker-allowed"), "/"),
    ];
    (headers, include_str!("../../public/sw.js")).into_response()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
