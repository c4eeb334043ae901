//! Response headers, answers to unknown API paths, and pages into which no text
//! can inject markup.

use crate::{
    seed::{self, create_session, new_upload_job, session_cookie},
    support::{new_server, start_server},
};
// Links the server functions, which register themselves.
use app as _;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testbed::ServerProcess;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn send(meanwhile: &ServerProcess, method: Method, path: &str, accept: &str) -> Response {
    let request = meanwhile.api.client.request(method, meanwhile.api.url(path));
    let request =
        request.header(header::ORIGIN, meanwhile.api.url("")).header(header::ACCEPT, accept);
    request.header(header::COOKIE, &meanwhile.api.cookie).send().await.unwrap()
}

#[tokio::test]
async fn private_responses_are_not_cached() {
    let meanwhile = start_server().await;
    let made = meanwhile.api.post("/api/v1/tokens").json(&json!({
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
async fn unknown_api_paths_get_problem_documents() {
    let meanwhile = start_server().await;
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
async fn malformed_server_function_calls_are_client_errors() {
    let meanwhile = start_server().await;
    let function_path = |name: &str| {
        let mut paths = leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path);
        paths.find(|path| path.starts_with(&format!("/api/{name}"))).unwrap()
    };
    let none = "01a00000-0000-7000-8000-000000000000";
    let long = "l".repeat(60_000);
    for (name, body, status) in [
        ("load_inbox", "{".to_owned(), StatusCode::BAD_REQUEST),
        ("load_flow", json!({ "job": none }).to_string(), StatusCode::BAD_REQUEST),
        ("load_flow", json!({ "id": none }).to_string(), StatusCode::NOT_FOUND),
        ("load_inbox", json!({}).to_string(), StatusCode::OK),
        ("load_search_results", json!({ "search_text": "lamp" }).to_string(), StatusCode::OK),
        (
            "load_search_results",
            json!({ "search_text": long }).to_string(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        let request = meanwhile.api.post(function_path(name));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let answer = request.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {body}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    }
    let by_get = send(&meanwhile, Method::GET, function_path("load_inbox"), "*/*").await;
    assert_eq!(by_get.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn overlong_search_is_rejected_with_a_message() {
    let meanwhile = start_server().await;
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
    assert!(!meanwhile.read_log().contains("ERROR"), "{}", meanwhile.read_log());
}

/// Sends a request with these header lines and returns the answer's status.
async fn raw_request_status(meanwhile: &ServerProcess, lines: &[&str]) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", meanwhile.api.port)).await.unwrap();
    let request = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn requests_need_one_host_and_a_valid_path() {
    let meanwhile = start_server().await;
    let own = format!("Host: 127.0.0.1:{}", meanwhile.api.port);
    let cookie = format!("Cookie: {}", meanwhile.api.cookie);
    assert_eq!(raw_request_status(&meanwhile, &["GET /jobs HTTP/1.1", &own, &cookie]).await, 200);
    let other = "Host: evil.example";
    for hosts in [vec![own.as_str(), other], vec![other, &own], vec![&own, &own]] {
        let lines = [&["GET /jobs HTTP/1.1"], hosts.as_slice(), &[cookie.as_str()]].concat();
        assert_eq!(raw_request_status(&meanwhile, &lines).await, 400, "{hosts:?}");
    }
    assert_eq!(raw_request_status(&meanwhile, &["GET /jobs HTTP/1.1", other, &cookie]).await, 421);
    // A target that is no path, which the pages' router can't handle.
    let target = format!("GET 127.0.0.1:{} HTTP/1.1", meanwhile.api.port);
    let refused = raw_request_status(&meanwhile, &[&target, &own, &cookie]).await;
    assert!((400..500).contains(&refused), "{refused}");
    assert!(!meanwhile.read_log().contains("panicked"), "{}", meanwhile.read_log());
}

/// Returns the page's tags of that name, without `<` and `>`.
fn tags_named<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let open = format!("<{name}");
    let tags = page.split('<').skip(1).filter(|tag| format!("<{tag}").starts_with(&open));
    tags.map(|tag| tag.split('>').next().unwrap()).collect()
}

#[tokio::test]
async fn titles_contain_no_markup_and_only_scripts_carry_the_nonce() {
    // A title that once ran in an admin's browser: its unclosed attribute
    // swallowed the nonce of the next tag.
    const NAME: &str = "</title><script src=data:text/javascript,alert(1) x=\"";
    let mut meanwhile = new_server();
    let store = seed::open_store(&meanwhile).await;
    let ada = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    create_session(&store, ada, "ada").await;
    let job = store.tasks.accept(new_upload_job(ada, NAME, &["acme"])).await.unwrap().job;
    seed::finish_two_tasks(&store, NAME).await;
    meanwhile.spawn().await.unwrap();
    meanwhile.api.cookie = session_cookie("ada");
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
        for script in tags_named(&page, "script") {
            let first = format!("script nonce=\"{nonce}\"");
            assert!(script.starts_with(&first), "{path}: <{script}>");
        }
        let carried = page.matches(&format!("nonce=\"{nonce}\"")).count();
        assert_eq!(
            carried,
            tags_named(&page, "script").len(),
            "{path}: other tags carry the nonce"
        );
    }
    let page = send(&meanwhile, Method::GET, &job, "text/html").await.text().await.unwrap();
    let title = page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    let escaped = "&lt;/title&gt;&lt;script src=data:text/javascript,alert(1) x=\"";
    assert!(title.contains(escaped), "{title}");
}
