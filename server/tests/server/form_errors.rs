//! Pages and redirects that a browser gets for requests that failed.

use crate::support::start_server;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use testbed::ServerProcess;

const JOB: &str = "/jobs/01a00000-0000-7000-8000-000000000000";

fn client_without_redirects() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// Builds a form request as a browser sends it, from a page of the origin `from`.
fn post_form(meanwhile: &ServerProcess, path: &str, cookie: &str, from: &str) -> RequestBuilder {
    client_without_redirects()
        .post(meanwhile.api.url(path))
        .header(header::ORIGIN, from)
        .header(header::REFERER, format!("{from}{JOB}?state=failed"))
        .header(header::COOKIE, cookie)
        .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
        .form(&[("up_to", "0")])
}

#[tokio::test]
async fn browsers_get_error_pages_and_api_clients_problem_documents() {
    let meanwhile = start_server().await;
    let cancel = format!("{JOB}/cancel");
    let here = meanwhile.api.url("");
    let response =
        post_form(&meanwhile, &cancel, &meanwhile.api.cookie, &here).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    assert_eq!(response.headers()[header::VARY], "accept");
    assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let page = response.text().await.unwrap();
    assert!(page.contains("The address is wrong"), "{page}");
    assert!(page.contains(&format!("href=\"{JOB}?state=failed\"")), "{page}");

    let api_response = meanwhile.api.post(&cancel).form(&[("shown", "")]).send().await.unwrap();
    assert_eq!(api_response.status(), StatusCode::NOT_FOUND);
    assert_eq!(api_response.headers()[header::CONTENT_TYPE], "application/problem+json");
}

#[tokio::test]
async fn signed_out_form_posts_redirect_to_sign_in() {
    let meanwhile = start_server().await;
    let here = meanwhile.api.url("");
    for cookie in ["", "meanwhile_session=of-another-time"] {
        let response =
            post_form(&meanwhile, "/notifications/read", cookie, &here).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let to = response.headers()[header::LOCATION].to_str().unwrap();
        assert!(to.starts_with("/sign-in?problem=You%20were%20signed%20out"), "{to}");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let signed_out = post_form(&meanwhile, "/sign-out", "", &here).send().await.unwrap();
    assert_eq!(signed_out.headers()[header::LOCATION], "/sign-in");

    // The answer is sent before the file is read, so the connection closes.
    let file = post_form(&meanwhile, "/launch/upload", "", &here).body(vec![b'a'; 1 << 20]);
    let response = file.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::CONNECTION], "close");

    let evil = "https://evil.example";
    let foreign = post_form(&meanwhile, "/notifications/read", &meanwhile.api.cookie, evil);
    let foreign = foreign.send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let page = foreign.text().await.unwrap();
    assert!(page.contains("came from another site"), "{page}");
    assert!(!page.contains("evil.example"), "{page}");
}

/// Returns the path to which an answer redirects.
fn redirect_location(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[header::LOCATION].to_str().unwrap()
}

#[tokio::test]
async fn form_resent_with_its_idempotency_key_is_not_repeated() {
    let meanwhile = start_server().await;
    let start = async |form: &[(&str, &str)]| {
        let request = client_without_redirects()
            .post(meanwhile.api.url("/launch/machines"))
            .header(header::ORIGIN, meanwhile.api.url(""))
            .header(header::COOKIE, &meanwhile.api.cookie);
        request.form(form).send().await.unwrap()
    };
    let page = async |path: &str, site: &str| {
        let request = client_without_redirects()
            .get(meanwhile.api.url(path))
            .header("sec-fetch-site", site)
            .header(header::COOKIE, &meanwhile.api.cookie);
        request.send().await.unwrap()
    };
    let rejected = start(&[("key", "of-the-form")]).await;
    let to = redirect_location(&rejected);
    assert_eq!(to, "/machines?problem=Choose%20at%20least%20one%20machine.");
    // The server adds the key to the redirect if it can't tell whether the launch
    // took place.
    let to = &format!("{to}&key=of-the-form");
    let shown = page(to, "same-origin").await.text().await.unwrap();
    assert!(shown.contains("name=\"key\" value=\"of-the-form\""), "{shown}");
    assert!(shown.contains("Choose at least one machine."), "{shown}");
    assert_eq!(redirect_location(&page(to, "cross-site").await), "/machines");

    let ids = ["i-0a1b2c3d4e5f60002", "i-0a1b2c3d4e5f60003"];
    let first = start(&[("key", "of-the-form"), ("ids", ids[0])]).await;
    let second = start(&[("key", "of-the-form"), ("ids", ids[0])]).await;
    assert!(redirect_location(&first).starts_with("/jobs/"), "{}", redirect_location(&first));
    assert_eq!(redirect_location(&second), redirect_location(&first));
    let other = start(&[("key", "of-the-form"), ("ids", ids[1])]).await;
    let to = redirect_location(&other);
    assert!(to.starts_with("/machines?problem=This%20form%20was%20already%20sent"), "{to}");
    assert!(!to.contains("key="), "{to}");
}
