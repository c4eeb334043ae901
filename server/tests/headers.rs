//! Headers of every answer, answers to what the API does not have, and pages
//! that no text gets markup into.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use app::data::ask::Question;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{
    Meanwhile,
    seed::{self, cookie, sign_in, upload},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn send(meanwhile: &Meanwhile, method: Method, path: &str, accept: &str) -> Response {
    let request = meanwhile.client.request(method, meanwhile.url(path));
    let request = request.header(header::ORIGIN, meanwhile.url("")).header(header::ACCEPT, accept);
    request.header(header::COOKIE, &meanwhile.cookie).send().await.unwrap()
}

#[tokio::test]
async fn nothing_that_is_somebodys_is_kept_by_a_browser_or_a_proxy() {
    let meanwhile = Meanwhile::start().await;
    let made = meanwhile.post("/api/v1/tokens").json(&json!({
        "name": "a program",
        "password": "correct-horse",
    }));
    let made = made.send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers()[header::CACHE_CONTROL], "no-store");
    for path in [
        "/",
        "/jobs",
        "/people",
        "/api/v1/jobs",
        "/api/v1/tokens",
        "/api/v1/notifications",
        "/api/v1/channels",
        "/api/v1/nothing",
        "/nothing",
        "/metrics",
        "/sign-in",
        "/readyz",
    ] {
        for accept in ["text/html", "application/json"] {
            let answer = send(&meanwhile, Method::GET, path, accept).await;
            let headers = answer.headers();
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path} as {accept}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path} as {accept}");
            assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path} as {accept}");
        }
    }
}

#[tokio::test]
async fn what_the_api_does_not_have_is_a_problem_document() {
    let meanwhile = Meanwhile::start().await;
    for (method, path, status) in [
        (Method::GET, "/api", StatusCode::NOT_FOUND),
        (Method::GET, "/api/", StatusCode::NOT_FOUND),
        (Method::POST, "/api/nothing", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v2/jobs", StatusCode::NOT_FOUND),
        (Method::POST, "/api/v1/jobs/none/of/these", StatusCode::NOT_FOUND),
        (Method::PUT, "/api/v1/jobs", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/api/v1/channels", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/jobs", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = send(&meanwhile, method.clone(), path, "*/*").await;
        assert_eq!(answer.status(), status, "{method} {path}");
        let kind = answer.headers()[header::CONTENT_TYPE].clone();
        assert_eq!(kind, "application/problem+json", "{method} {path}");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = answer.headers()[header::ALLOW].to_str().unwrap();
            assert!(allowed.contains("GET"), "{method} {path}: {allowed}");
        }
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["status"], status.as_u16(), "{method} {path}");
    }
}

#[tokio::test]
async fn what_a_page_asks_wrongly_is_its_mistake_and_not_the_servers() {
    let meanwhile = Meanwhile::start().await;
    let (answer, _) = leptos::server_fn::axum::server_fn_paths()
        .find(|(path, _)| path.starts_with("/api/answer"))
        .unwrap();
    let none = "01a00000-0000-7000-8000-000000000000";
    for (body, status) in [
        ("{".to_owned(), StatusCode::BAD_REQUEST),
        (json!({ "question": "nothing" }).to_string(), StatusCode::BAD_REQUEST),
        (json!({ "question": { "flow": { "id": none } } }).to_string(), StatusCode::NOT_FOUND),
        (json!({ "question": Question::Inbox }).to_string(), StatusCode::OK),
        (json!({ "question": { "search": { "q": "lamp" } } }).to_string(), StatusCode::OK),
        (
            json!({ "question": { "search": { "q": "l".repeat(60_000) } } }).to_string(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let asked = meanwhile.post(answer).header(header::CONTENT_TYPE, "application/json");
        let answer = asked.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    }
    let asked = send(&meanwhile, Method::GET, answer, "*/*").await;
    assert_eq!(asked.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_search_that_is_too_long_is_refused_with_a_sentence() {
    let meanwhile = Meanwhile::start().await;
    let words = "l".repeat(60_000);
    for path in ["/search", "/jobs"] {
        let path = format!("{path}?q={words}");
        let page = send(&meanwhile, Method::GET, &path, "text/html").await;
        assert_eq!(page.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = page.text().await.unwrap();
        assert!(
            page.contains("The search has 60000 characters; at most 200 are allowed."),
            "{page}"
        );
    }
    assert!(!meanwhile.log().contains("ERROR"), "{}", meanwhile.log());
}

/// The status that a request of these lines is answered with.
async fn status(meanwhile: &Meanwhile, lines: &[&str]) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", meanwhile.port)).await.unwrap();
    let request = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn a_request_has_one_host_and_a_path() {
    let meanwhile = Meanwhile::start().await;
    let own = format!("Host: 127.0.0.1:{}", meanwhile.port);
    let cookie = format!("Cookie: {}", meanwhile.cookie);
    assert_eq!(status(&meanwhile, &["GET /jobs HTTP/1.1", &own, &cookie]).await, 200);
    let other = "Host: evil.example";
    for hosts in [vec![own.as_str(), other], vec![other, &own], vec![&own, &own]] {
        let lines = [&["GET /jobs HTTP/1.1"], hosts.as_slice(), &[cookie.as_str()]].concat();
        assert_eq!(status(&meanwhile, &lines).await, 400, "{hosts:?}");
    }
    assert_eq!(status(&meanwhile, &["GET /jobs HTTP/1.1", other, &cookie]).await, 421);
    // A target that is no path, which the router of pages can't take.
    let target = format!("GET 127.0.0.1:{} HTTP/1.1", meanwhile.port);
    let refused = status(&meanwhile, &[&target, &own, &cookie]).await;
    assert!((400..500).contains(&refused), "{refused}");
    assert!(!meanwhile.log().contains("panicked"), "{}", meanwhile.log());
}

/// What tags of that name look like in a page, `<` and `>` aside.
fn tags<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let open = format!("<{name}");
    let tags = page.split('<').skip(1).filter(|tag| format!("<{tag}").starts_with(&open));
    tags.map(|tag| tag.split('>').next().unwrap()).collect()
}

#[tokio::test]
async fn a_title_holds_no_markup_and_scripts_alone_carry_the_nonce() {
    // What ran in an admin's browser: the attribute that is left open took the
    // nonce of the next tag.
    const NAME: &str = "</title><script src=data:text/javascript,alert(1) x=\"";
    let mut meanwhile = Meanwhile::new("127.0.0.1");
    let store = seed::store(&meanwhile).await;
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    sign_in(&store, ada, "ada").await;
    let job = store.accept(upload(ada, NAME, &["acme"])).await.unwrap().job;
    seed::end(&store, NAME).await;
    meanwhile.spawn(false).await;
    meanwhile.cookie = cookie("ada");
    let job = format!("/jobs/{}", job.id);
    let views = ["", "?view=flow", "?view=timeline"].map(|view| format!("{job}{view}"));
    let others =
        ["/", "/jobs", "/inbox", "/machines", "/people", "/account", "/nothing", "/search?q=x"];
    let mut nonces = BTreeSet::new();
    for path in others.into_iter().chain(views.iter().map(String::as_str)) {
        let answer = send(&meanwhile, Method::GET, path, "text/html").await;
        let policies = answer.headers().get_all(header::CONTENT_SECURITY_POLICY);
        let policies: Vec<_> =
            policies.iter().map(|policy| policy.to_str().unwrap().to_owned()).collect();
        let [first, second] = policies.as_slice() else { panic!("{path}: {policies:?}") };
        let nonce = first.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(nonces.insert(nonce.to_owned()), "{path}: a nonce is used twice");
        assert!(!first.contains("strict-dynamic") && !first.contains("'unsafe-inline'"), "{first}");
        assert!(second.starts_with("script-src 'self' "), "{second}");
        assert!(!second.contains("data:"), "{second}");
        let page = answer.text().await.unwrap();
        assert_eq!(page.matches("<title>").count(), 1, "{path}: {page}");
        assert_eq!(page.matches("</title>").count(), 1, "{path}: {page}");
        for script in tags(&page, "script") {
            let first = format!("script nonce=\"{nonce}\"");
            assert!(script.starts_with(&first), "{path}: <{script}>");
        }
        let carried = page.matches(&format!("nonce=\"{nonce}\"")).count();
        assert_eq!(carried, tags(&page, "script").len(), "{path}: others carry the nonce");
    }
    let page = send(&meanwhile, Method::GET, &job, "text/html").await.text().await.unwrap();
    let title = page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    let escaped = "&lt;/title&gt;&lt;script src=data:text/javascript,alert(1) x=\"";
    assert!(title.contains(escaped), "{title}");
}
