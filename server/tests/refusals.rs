//! What a browser shows of a request that was not done.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::{Client, RequestBuilder, StatusCode, header, redirect::Policy};
use support::Meanwhile;

const JOB: &str = "/jobs/01a00000-0000-7000-8000-000000000000";

/// A form's post, as a browser sends it.
fn post(meanwhile: &Meanwhile, path: &str, cookie: &str, from: &str) -> RequestBuilder {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    client
        .post(meanwhile.url(path))
        .header(header::ORIGIN, from)
        .header(header::REFERER, format!("{from}{JOB}?state=failed"))
        .header(header::COOKIE, cookie)
        .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
        .form(&[("up_to", "0")])
}

#[tokio::test]
async fn people_read_a_page_and_programs_a_problem() {
    let meanwhile = Meanwhile::start().await;
    let cancel = format!("{JOB}/cancel");
    let here = meanwhile.url("");
    let shown = post(&meanwhile, &cancel, &meanwhile.cookie, &here).send().await.unwrap();
    assert_eq!(shown.status(), StatusCode::NOT_FOUND);
    assert_eq!(shown.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(shown.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    assert_eq!(shown.headers()[header::VARY], "accept");
    assert_eq!(shown.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let page = shown.text().await.unwrap();
    assert!(page.contains("The address is wrong"), "{page}");
    assert!(page.contains(&format!("href=\"{JOB}?state=failed\"")), "{page}");

    let told = meanwhile.post(&cancel).form(&[("shown", "")]).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::NOT_FOUND);
    assert_eq!(told.headers()[header::CONTENT_TYPE], "application/problem+json");
}

#[tokio::test]
async fn a_form_of_somebody_signed_out_leads_to_where_they_sign_in() {
    let meanwhile = Meanwhile::start().await;
    let here = meanwhile.url("");
    for cookie in ["", "meanwhile_session=of-another-time"] {
        let led = post(&meanwhile, "/notifications/read", cookie, &here).send().await.unwrap();
        assert_eq!(led.status(), StatusCode::SEE_OTHER);
        let to = led.headers()[header::LOCATION].to_str().unwrap();
        assert!(to.starts_with("/sign-in?problem=You%20were%20signed%20out"), "{to}");
        assert_eq!(led.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let out = post(&meanwhile, "/sign-out", "", &here).send().await.unwrap();
    assert_eq!(out.headers()[header::LOCATION], "/sign-in");

    // Answered before the file was heard: the connection ends with it.
    let file = post(&meanwhile, "/launch/upload", "", &here).body(vec![b'a'; 1 << 20]);
    let led = file.send().await.unwrap();
    assert_eq!(led.status(), StatusCode::SEE_OTHER);
    assert_eq!(led.headers()[header::CONNECTION], "close");

    let evil = "https://evil.example";
    let foreign = post(&meanwhile, "/notifications/read", &meanwhile.cookie, evil);
    let foreign = foreign.send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let page = foreign.text().await.unwrap();
    assert!(page.contains("came from another site"), "{page}");
    assert!(!page.contains("evil.example"), "{page}");
}
