//! Checks of Origin and Host: requests that another site causes in a browser change
//! nothing here.

use crate::{problem::Problem, session, state::AppState};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::SocketAddr, sync::Arc};

/// Origins at which browsers reach this server.
#[derive(Clone, Debug)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// Uses the configured URLs `public`; if there are none, plain HTTP at the loopback
    /// names and the port of `listen`.
    pub fn new(public: &[String], listen: SocketAddr) -> Self {
        if public.is_empty() {
            let port = listen.port();
            let hosts = ["127.0.0.1", "localhost", "[::1]"];
            return Self(hosts.iter().map(|host| format!("http://{host}:{port}")).collect());
        }
        Self(public.iter().map(|url| url.trim_end_matches('/').to_ascii_lowercase()).collect())
    }

    /// Whether all origins can be reached from this machine only.
    pub fn are_loopback(&self) -> bool {
        self.0.iter().all(|origin| {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host }
            });
            matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        })
    }

    /// Whether all origins use HTTPS, so that cookies can be limited to TLS.
    pub fn are_https(&self) -> bool {
        self.0.iter().all(|origin| origin.starts_with("https://"))
    }

    /// Returns the origin of this server that the request was sent to.
    pub fn requested_origin(&self, headers: &HeaderMap) -> Option<&str> {
        let host = headers.get(header::HOST)?.to_str().ok()?.to_ascii_lowercase();
        let matches = |origin: &&String| {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        };
        self.0.iter().find(matches).map(String::as_str)
    }

    /// Whether the Origin header is exactly one of this server's origins; `None` if
    /// the header is missing.
    pub fn allows(&self, headers: &HeaderMap) -> Option<bool> {
        let origin = headers.get(header::ORIGIN)?;
        Some(origin.to_str().is_ok_and(|origin| self.0.iter().any(|own| own == origin)))
    }
}

/// Rejects requests with a foreign Host, and mutations with a foreign Origin, or with
/// a cookie but no Origin. A token needs no Origin: browsers never send one on
/// their own.
pub async fn require_own_origin(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    if headers.get_all(header::HOST).iter().count() != 1 {
        let detail = "A request must have exactly one Host header.";
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    }
    if state.origins.requested_origin(headers).is_none() {
        let detail =
            "This is not a host name of this server. If it should be, set MEANWHILE_PUBLIC_URL.";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response();
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let allowed = match state.origins.allows(headers) {
        Some(allowed) => allowed,
        None => !headers.contains_key(header::COOKIE) || session::bearer_token(headers).is_some(),
    };
    if !is_safe && !allowed {
        return Problem::new(StatusCode::FORBIDDEN, "This request came from another site.")
            .into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn allows(origin: Option<&'static str>) -> Option<bool> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 3000));
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        Origins::new(&[], listen).allows(&headers)
    }

    #[test]
    fn origins_match_exactly() {
        assert_eq!(allows(None), None);
        for own in ["http://127.0.0.1:3000", "http://localhost:3000"] {
            assert_eq!(allows(Some(own)), Some(true), "{own}");
        }
        for foreign in [
            "null",
            "https://localhost:3000",
            "http://localhost:3001",
            "http://localhost:3000.evil.example",
            "http://localhost",
        ] {
            assert_eq!(allows(Some(foreign)), Some(false), "{foreign}");
        }
    }

    #[test]
    fn only_loopback_names_are_loopback() {
        let are_loopback = |public: &[&str]| {
            let public: Vec<_> = public.iter().map(|url| (*url).to_owned()).collect();
            Origins::new(&public, SocketAddr::from(([127, 0, 0, 1], 3000))).are_loopback()
        };
        assert!(are_loopback(&[]));
        assert!(are_loopback(&["http://localhost", "http://127.0.0.1:3000", "http://[::1]:3000"]));
        for public_url in
            ["https://meanwhile.example.com", "http://localhost.evil:80", "http://10.0.0.1"]
        {
            assert!(!are_loopback(&["http://localhost:3000", public_url]), "{public_url}");
        }
    }
}
