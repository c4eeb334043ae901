//! Origin and Host: what a browser sends from elsewhere changes nothing here.

use crate::{problem::Problem, session, state::State};
use axum::{
    extract::{Request, State as Extract},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::SocketAddr, sync::Arc};

/// Where browsers reach this server.
#[derive(Clone, Debug)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// `public` as configured; without it, plain http on the loopback names.
    pub fn new(public: &[String], listen: SocketAddr) -> Self {
        if public.is_empty() {
            let port = listen.port();
            let hosts = ["127.0.0.1", "localhost", "[::1]"];
            return Self(hosts.iter().map(|host| format!("http://{host}:{port}")).collect());
        }
        Self(public.iter().map(|url| url.trim_end_matches('/').to_ascii_lowercase()).collect())
    }

    /// Whether only this machine can reach all of them.
    pub fn are_local(&self) -> bool {
        self.0.iter().all(|origin| {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host }
            });
            matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        })
    }

    /// Whether cookies are to be sent over TLS only.
    pub fn secure(&self) -> bool {
        self.0.iter().all(|origin| origin.starts_with("https://"))
    }

    /// The origin of ours that a request was sent to.
    pub fn of(&self, headers: &HeaderMap) -> Option<&str> {
        let host = headers.get(header::HOST)?.to_str().ok()?.to_ascii_lowercase();
        let own = |origin: &&String| origin.split_once("://").is_some_and(|(_, own)| own == host);
        self.0.iter().find(own).map(String::as_str)
    }

    /// Exactly one of ours; `None` where the header is missing.
    pub fn allows(&self, headers: &HeaderMap) -> Option<bool> {
        let origin = headers.get(header::ORIGIN)?;
        Some(origin.to_str().is_ok_and(|origin| self.0.iter().any(|own| own == origin)))
    }
}

/// Refuses a foreign Host, a mutation from a foreign Origin, and one that
/// brings a cookie and no Origin. No browser sends a token by itself.
pub async fn check(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    // https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    if headers.get_all(header::HOST).iter().count() != 1 {
        let words = "A request has exactly one Host header.";
        return Problem::new(StatusCode::BAD_REQUEST, words).into_response();
    }
    if state.origins.of(headers).is_none() {
        let words = "This server is not known by that name. Set MEANWHILE_PUBLIC_URL.";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, words).into_response();
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let allowed = match state.origins.allows(headers) {
        Some(allowed) => allowed,
        None => !headers.contains_key(header::COOKIE) || session::bearer(headers).is_some(),
    };
    if !reads && !allowed {
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
    fn an_origin_is_ours_exactly_or_not_at_all() {
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
    fn only_the_names_of_this_machine_are_local() {
        let of = |public: &[&str]| {
            let public: Vec<_> = public.iter().map(|url| (*url).to_owned()).collect();
            Origins::new(&public, SocketAddr::from(([127, 0, 0, 1], 3000))).are_local()
        };
        assert!(of(&[]));
        assert!(of(&["http://localhost", "http://127.0.0.1:3000", "http://[::1]:3000"]));
        for elsewhere in
            ["https://meanwhile.example.com", "http://localhost.evil:80", "http://10.0.0.1"]
        {
            assert!(!of(&["http://localhost:3000", elsewhere]), "{elsewhere}");
        }
    }
}
