//! What the log says of a request.

use axum::extract::Request;
use tracing::Span;

/// Ids and names of files are no longer, tokens are: bytes.
const LONGEST: usize = 40;

/// Names method and path; no query.
pub fn span(request: &Request) -> Span {
    let path = public(request.uri().path());
    tracing::info_span!("request", method = %request.method(), %path)
}

/// The path without tokens. A one-time link has its token in the path, and a
/// mistyped one has it where no route looks.
fn public(path: &str) -> String {
    let segments = path.split('/').map(|part| if part.len() > LONGEST { "…" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_token_is_never_part_of_it() {
        let token = "0123456789abcdef".repeat(4);
        let id = "01940000-0000-7000-8000-000000000000";
        for (path, public) in [
            ("/".to_owned(), "/".to_owned()),
            (format!("/jobs/{id}/cancel"), format!("/jobs/{id}/cancel")),
            (format!("/invite/{token}"), "/invite/…".into()),
            (format!("/Invite/x{token}/"), "/Invite/…/".into()),
        ] {
            assert_eq!(super::public(&path), public);
        }
    }
}
