//! Redirects after a form, and the flash parameters by which they pass a message
//! to the page in its URL.

use crate::problem::Problem;
use axum::{
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use form_urlencoded::{Serializer, parse};

const PROBLEM_PARAM: &str = "problem";
/// Idempotency key that the form uses again.
const KEY_PARAM: &str = "key";
/// Refused form with what is wrong and what was typed, which the page shows again.
const FORM_PARAM: &str = "form";
/// Parameters that are accepted from our own pages only: with a link, another
/// site could otherwise put text into our pages.
const FLASH_PARAMS: [&str; 3] = [PROBLEM_PARAM, KEY_PARAM, FORM_PARAM];

/// Redirects to `page`, which shows the problem.
pub fn redirect_with_problem(page: &str, problem: &Problem) -> Response {
    redirect_with_params(page, &[(PROBLEM_PARAM, &problem.detail)])
}

/// Redirects to `page`, which shows the problem and whose form uses the same
/// idempotency key again, because the outcome of the request is unknown.
pub fn redirect_with_problem_and_key(key: &str, page: &str, problem: &Problem) -> Response {
    redirect_with_params(page, &[(PROBLEM_PARAM, &problem.detail), (KEY_PARAM, key)])
}

/// Redirects to the element `anchor` of `page`, which shows the refused form `argument` again.
pub fn redirect_with_form(page: &str, argument: &str, anchor: &str) -> Response {
    Redirect::to(&format!("{}#{anchor}", with_params(page, &[(FORM_PARAM, argument)])))
        .into_response()
}

fn redirect_with_params(page: &str, params: &[(&str, &str)]) -> Response {
    Redirect::to(&with_params(page, params)).into_response()
}

fn with_params(page: &str, params: &[(&str, &str)]) -> String {
    let separator = if page.contains('?') { '&' } else { '?' };
    // A plus means a space in form encoding only.
    let query = Serializer::new(String::new()).extend_pairs(params).finish().replace('+', "%20");
    format!("{page}{separator}{query}")
}

/// Returns path and query of the referring page if it is one of ours.
pub fn same_origin_referer(headers: &HeaderMap) -> Option<String> {
    let page: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_own =
        page.authority().is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host));
    let path = page.path_and_query()?.as_str();
    // `//host/…` would be another site.
    (is_own && path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

/// Returns the URL without flash parameters if it has some and the navigation
/// did not come from one of our pages.
pub fn without_foreign_flash(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let query = uri.query()?.as_bytes();
    let is_flash = |name: &str| FLASH_PARAMS.contains(&name);
    if !parse(query).any(|(name, _)| is_flash(&name)) || is_same_origin_navigation(headers) {
        return None;
    }
    let others = parse(query).filter(|(name, _)| !is_flash(name));
    let others = Serializer::new(String::new()).extend_pairs(others).finish();
    let separator = if others.is_empty() { "" } else { "?" };
    // Two slashes at the beginning would make the path a host name.
    Some(format!("/{}{separator}{others}", uri.path().trim_start_matches('/')))
}

/// Whether one of our pages caused the request. Browsers send `Sec-Fetch-Site`
/// over TLS or to this machine; otherwise the referrer decides.
fn is_same_origin_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => same_origin_referer(headers).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue, StatusCode};

    fn headers(own: &[(&'static str, &'static str)]) -> HeaderMap {
        let all = [("host", "127.0.0.1:3000")].into_iter().chain(own.iter().copied());
        let header =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        all.map(header).collect()
    }

    #[test]
    fn referer_of_another_site_is_ignored() {
        for (referer, page) in [
            ("http://127.0.0.1:3000/jobs?before=1", Some("/jobs?before=1")),
            ("https://evil.example/inbox", None),
            ("http://127.0.0.1:3000//evil.example/", None),
            ("about:blank", None),
        ] {
            let headers = headers(&[("referer", referer)]);
            assert_eq!(same_origin_referer(&headers).as_deref(), page, "{referer}");
        }
    }

    #[test]
    fn flash_params_are_kept_on_same_origin_navigation_only() {
        let own = ("referer", "http://127.0.0.1:3000/machines");
        let foreign = ("referer", "https://evil.example/");
        for headers_sent in [vec![own], vec![("sec-fetch-site", "same-origin")]] {
            let uri = Uri::from_static("/machines?problem=No");
            assert_eq!(
                without_foreign_flash(&uri, &headers(&headers_sent)),
                None,
                "{headers_sent:?}"
            );
        }
        for headers_sent in [
            vec![],
            vec![foreign],
            vec![("sec-fetch-site", "cross-site"), own],
            vec![("sec-fetch-site", "none")],
        ] {
            for (requested, expected) in [
                ("/machines?problem=No", Some("/machines")),
                ("/jobs/1?state=failed&%70roblem=No&q=a+b", Some("/jobs/1?state=failed&q=a+b")),
                ("/machines?key=theirs", Some("/machines")),
                ("/channels?form=theirs", Some("/channels")),
                ("//evil.example/?problem=No", Some("/evil.example/")),
                ("/jobs?q=problem", None),
                ("/jobs", None),
            ] {
                let found =
                    without_foreign_flash(&requested.parse().unwrap(), &headers(&headers_sent));
                assert_eq!(found.as_deref(), expected, "{requested} {headers_sent:?}");
            }
        }
    }

    #[test]
    fn flash_params_round_trip() {
        let problem = Problem::new(StatusCode::CONFLICT, "100 % of “a&b=c” + d");
        let response = redirect_with_problem_and_key("k", "/jobs/1?state=failed", &problem);
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        let params: Vec<_> = parse(location.split_once('?').unwrap().1.as_bytes()).collect();
        let params: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [("state", "failed"), ("problem", "100 % of “a&b=c” + d"), ("key", "k")];
        assert_eq!(params, expected);
    }
}
