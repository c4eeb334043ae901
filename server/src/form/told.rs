//! Where a form was, and what its answer tells the page that it leads to, in
//! that page's address.

use crate::problem::Problem;
use axum::{
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use form_urlencoded::{Serializer, parse};

const PROBLEM: &str = "problem";
/// A form's idempotency key: it is sent again as the same.
const KEY: &str = "key";
/// With an address from elsewhere somebody would put words into our pages.
const OURS: [&str; 2] = [PROBLEM, KEY];

/// Back to `page`, which shows the problem.
pub fn back(page: &str, problem: &Problem) -> Response {
    lead(page, &[(PROBLEM, &problem.detail)])
}

/// Back to `page`, which shows the problem of a form that keeps its key: it is
/// not known whether what it asked for was done.
pub fn back_with(key: &str, page: &str, problem: &Problem) -> Response {
    lead(page, &[(PROBLEM, &problem.detail), (KEY, key)])
}

fn lead(page: &str, told: &[(&str, &str)]) -> Response {
    let and = if page.contains('?') { '&' } else { '?' };
    // A plus is a space to forms alone.
    let told = Serializer::new(String::new()).extend_pairs(told).finish().replace('+', "%20");
    Redirect::to(&format!("{page}{and}{told}")).into_response()
}

/// The page of ours that a request was sent from, as path and query.
pub fn came_from(headers: &HeaderMap) -> Option<String> {
    let page: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let own = page.authority().is_some_and(|own| own.as_str().eq_ignore_ascii_case(host));
    let path = page.path_and_query()?.as_str();
    // `//host/…` would be another site.
    (own && path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

/// The address without what we alone tell, where it has that and no page of
/// ours led to it.
pub fn unasked(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let query = uri.query()?.as_bytes();
    let ours = |name: &str| OURS.contains(&name);
    if !parse(query).any(|(name, _)| ours(&name)) || led_by_us(headers) {
        return None;
    }
    let others = parse(query).filter(|(name, _)| !ours(name));
    let others = Serializer::new(String::new()).extend_pairs(others).finish();
    let and = if others.is_empty() { "" } else { "?" };
    // Two slashes begin the name of a host.
    Some(format!("/{}{and}{others}", uri.path().trim_start_matches('/')))
}

/// Browsers say so themselves where they trust the way (TLS, or this machine),
/// else by the page alone.
fn led_by_us(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => came_from(headers).is_some(),
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
    fn a_form_leads_back_to_a_page_of_ours_alone() {
        for (referer, page) in [
            ("http://127.0.0.1:3000/jobs?before=1", Some("/jobs?before=1")),
            ("https://evil.example/inbox", None),
            ("http://127.0.0.1:3000//evil.example/", None),
            ("about:blank", None),
        ] {
            let headers = headers(&[("referer", referer)]);
            assert_eq!(came_from(&headers).as_deref(), page, "{referer}");
        }
    }

    #[test]
    fn words_are_ours_where_a_page_of_ours_led_to_them() {
        let own = ("referer", "http://127.0.0.1:3000/machines");
        let foreign = ("referer", "https://evil.example/");
        for led in [vec![own], vec![("sec-fetch-site", "same-origin")]] {
            let uri = Uri::from_static("/machines?problem=No");
            assert_eq!(unasked(&uri, &headers(&led)), None, "{led:?}");
        }
        for unled in [
            vec![],
            vec![foreign],
            vec![("sec-fetch-site", "cross-site"), own],
            vec![("sec-fetch-site", "none")],
        ] {
            for (asked, plain) in [
                ("/machines?problem=No", Some("/machines")),
                ("/jobs/1?state=failed&%70roblem=No&q=a+b", Some("/jobs/1?state=failed&q=a+b")),
                ("/machines?key=theirs", Some("/machines")),
                ("//evil.example/?problem=No", Some("/evil.example/")),
                ("/jobs?q=problem", None),
                ("/jobs", None),
            ] {
                let found = unasked(&asked.parse().unwrap(), &headers(&unled));
                assert_eq!(found.as_deref(), plain, "{asked} {unled:?}");
            }
        }
    }

    #[test]
    fn what_is_told_is_read_as_it_was() {
        let problem = Problem::new(StatusCode::CONFLICT, "100 % of “a&b=c” + d");
        let response = back_with("k", "/jobs/1?state=failed", &problem);
        let to = response.headers()[header::LOCATION].to_str().unwrap();
        let told: Vec<_> = parse(to.split_once('?').unwrap().1.as_bytes()).collect();
        let told: Vec<_> = told.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [("state", "failed"), ("problem", "100 % of “a&b=c” + d"), ("key", "k")];
        assert_eq!(told, expected);
    }
}
