//! Static files of the pages. A release binary embeds them; a debug binary reads
//! them from the folder. File names contain a hash, so browsers may cache them
//! indefinitely.

use crate::problem::Problem;
use axum::{
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use rust_embed::RustEmbed;
use serde::Deserialize;
use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

#[derive(RustEmbed)]
#[folder = "../target/site"]
struct EmbeddedSite;

/// URL paths of the bundle's files; empty if there is no bundle.
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
    /// Reads the paths from the bundle's manifest.
    pub fn load() -> Self {
        let manifest = EmbeddedSite::get("manifest.json");
        let parsed = manifest.and_then(|file| serde_json::from_slice(&file.data).ok());
        if parsed.is_none() {
            tracing::warn!("the browser bundle is missing; pages are served without scripts");
        }
        let Self { js, wasm, css } = parsed.unwrap_or_default();
        let path = |name: String| if name.is_empty() { name } else { format!("/{name}") };
        Self { js: path(js), wasm: path(wasm), css: path(css) }
    }
}

/// `GET /pkg/{*name}`: serves a file, compressed if the client accepts it.
pub async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("pkg/{name}");
    let accepted =
        headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    for (encoding, ending) in [("br", ".br"), ("gzip", ".gz"), ("", "")] {
        if !accepted.contains(encoding) {
            continue;
        }
        if let Some(file) = read_file(&format!("{path}{ending}")) {
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

/// Returns the bytes of a bundle file. All responses share them, so a client
/// that reads slowly doesn't occupy memory for a copy.
fn read_file(path: &str) -> Option<Bytes> {
    /// Files that a debug binary has read. Their names contain a hash of their
    /// content, so a cached file never becomes outdated.
    static CACHE: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);
    // Holding the lock while reading makes concurrent requests read a file once.
    let mut cache = CACHE.lock();
    if let Some(bytes) = cache.get(path) {
        return Some(bytes.clone());
    }
    match EmbeddedSite::get(path)?.data {
        Cow::Borrowed(bytes) => Some(Bytes::from_static(bytes)),
        Cow::Owned(bytes) => {
            let bytes = Bytes::from(bytes);
            cache.insert(path.to_owned(), bytes.clone());
            Some(bytes)
        }
    }
}

/// `GET /sw.js`: the service worker, which notifies while no tab is visible. Its
/// name can't contain a hash, so browsers revalidate it each time.
pub async fn service_worker() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (HeaderName::from_static("service-worker-allowed"), "/"),
    ];
    (headers, include_str!("../../public/sw.js")).into_response()
}

/// `GET /asyncapi.json`: the catalogue of all events, with their schemas.
pub async fn asyncapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, include_str!("../../docs/asyncapi.json")).into_response()
}

/// `GET /openapi.json`: the operations of `/api/v1`, with the schemas of requests and answers.
pub async fn openapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, include_str!("../../docs/openapi.json")).into_response()
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
