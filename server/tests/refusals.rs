//! What a browser shows of a request that was not done.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use support::Meanwhile;

const JOB: &str = "/jobs/01a00000-0000-7000-8000-000000000000";

/// Goes nowhere by itself.
fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// A form's post, as a browser sends it.
fn post(meanwhile: &Meanwhile, path: &str, cookie: &str, from: &str) -> RequestBuilder {
    client()
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

/// Where an answer leads.
fn led(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[header::LOCATION].to_str().unwrap()
}

#[tokio::test]
async fn a_form_that_may_have_been_done_is_sent_again_as_the_same() {
    let meanwhile = Meanwhile::start().await;
    let start = async |form: &[(&str, &str)]| {
        let request = client()
            .post(meanwhile.url("/launch/machines"))
            .header(header::ORIGIN, meanwhile.url(""))
            .header(header::COOKIE, &meanwhile.cookie);
        request.form(form).send().await.unwrap()
    };
    let page = async |path: &str, site: &str| {
        let request = client()
            .get(meanwhile.url(path))
            .header("sec-fetch-site", site)
            .header(header::COOKIE, &meanwhile.cookie);
        request.send().await.unwrap()
    };
    let refused = start(&[("key", "of-the-form")]).await;
    let to = led(&refused);
    assert_eq!(to, "/machines?problem=Choose%20at%20least%20one%20machine.");
    // As it leads back where it is not known whether it was done.
    let to = &format!("{to}&key=of-the-form");
    let shown = page(to, "same-origin").await.text().await.unwrap();
    assert!(shown.contains("name=\"key\" value=\"of-the-form\""), "{shown}");
    assert!(shown.contains("Choose at least one machine."), "{shown}");
    assert_eq!(led(&page(to, "cross-site").await), "/machines");

    let ids = ["i-0a1b2c3d4e5f60002", "i-0a1b2c3d4e5f60003"];
    let done = start(&[("key", "of-the-form"), ("ids", ids[0])]).await;
    let again = start(&[("key", "of-the-form"), ("ids", ids[0])]).await;
    assert!(led(&done).starts_with("/jobs/"), "{}", led(&done));
    assert_eq!(led(&again), led(&done));
    let other = start(&[("key", "of-the-form"), ("ids", ids[1])]).await;
    let to = led(&other);
    assert!(to.starts_with("/machines?problem=This%20form%20was%20sent%20before"), "{to}");
    assert!(!to.contains("key="), "{to}");
}
