//! Calls every route and every server function without permission.
//!
//! The lists come from the router's table, the app's routes and the inventory of
//! server functions, so that none is missing.

use crate::{
    seed::{self, create_session, finish_two_tasks, new_upload_job, session_cookie},
    support::{new_server, start_server},
};
use app::page::{jobs::JobListFilter, machines::MachineListFilter, server_page::ServerPage};
use contract::{UserId, api::GridFilter};
use engine::store::{JobControl, Store};
use futures_util::StreamExt;
use reqwest::{Client, Method, Response, StatusCode, header, redirect};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use testbed::{ServerProcess, api::ApiRequest};
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest, http::HeaderValue};

/// Part of the file name, the SKUs and the titles of everything Ada owns.
const CANARY: &str = "canary";
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Paths that answer everyone and show no user's data.
const PUBLIC_PATHS: [&str; 11] = [
    "/healthz",
    "/readyz",
    "/pkg/{*name}",
    "/sw.js",
    "/asyncapi.json",
    "/openapi.json",
    "/setup",
    "/sign-in",
    "/api/v1/session",
    "/invite/{token}",
    "/reset/{token}",
];

struct AccessFixture {
    meanwhile: ServerProcess,
    client: Client,
    /// Ada's jobs and tasks: some are queued, one failed, one needs review.
    jobs: Vec<String>,
    tasks: Vec<String>,
    token_id: String,
    store: Store,
    bob: UserId,
}

impl AccessFixture {
    /// Starts a server on which Ada has two jobs and is signed in, and Bob has one
    /// job.
    async fn start() -> Self {
        let mut meanwhile = new_server();
        let store = seed::open_store(&meanwhile).await;
        let ada =
            store.accounts.add_first_user("ada-canary@example.com", "hash").await.unwrap().user;
        let bob = seed::create_user(&meanwhile, "bob@example.com").await;
        create_session(&store, ada, "ada").await;
        let token = seed::create_token(&store, ada, "canary-token").await.to_string();
        for user in [ada, bob] {
            let name = if user == ada { CANARY } else { "bobs" };
            store.tasks.accept(new_upload_job(user, name, &["acme"])).await.unwrap();
            finish_two_tasks(&store, name).await;
        }
        let paused = store.tasks.accept(new_upload_job(ada, CANARY, &["acme"])).await.unwrap().job;
        store.tasks.control_job(ada, paused.id, JobControl::Pause).await.unwrap();
        let jobs = store.jobs.jobs(ada, None, 10).await.unwrap().items;
        let mut tasks = Vec::new();
        for job in &jobs {
            let tasks_of_job = store.jobs.tasks(ada, job.id, None, 10).await.unwrap();
            tasks.extend(tasks_of_job.iter().map(|task| task.id.to_string()));
        }
        meanwhile.spawn().await.unwrap();
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        let jobs = jobs.iter().map(|job| job.id.to_string()).collect();
        Self { meanwhile, client, jobs, tasks, token_id: token, store, bob }
    }

    /// Creates a session of Bob's with this token. He signs in before each path,
    /// because some paths end his sessions.
    async fn sign_in_bob(&self, token: &str) {
        create_session(&self.store, self.bob, token).await;
    }

    /// Returns the ids of everything Ada owns.
    fn adas_ids(&self) -> impl Iterator<Item = &String> {
        self.jobs.iter().chain(&self.tasks).chain([&self.token_id])
    }

    async fn send(&self, call: &Call, session: Option<&str>, origin: Option<&str>) -> Response {
        let mut request =
            self.client.request(call.method.clone(), self.meanwhile.api.url(&call.path));
        if let Some(token) = session {
            request = request.header(header::COOKIE, session_cookie(token));
        }
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some((media_type, body)) = &call.body {
            request = request.header(header::CONTENT_TYPE, *media_type).body(body.clone());
        }
        ApiRequest::from(request).send().await.unwrap()
    }

    /// Returns everything that Ada can read over the API.
    async fn snapshot(&self) -> Vec<Value> {
        let lists = ["/api/v1/jobs", "/api/v1/notifications", "/api/v1/tokens"];
        let mut paths = lists.map(str::to_owned).to_vec();
        for job in &self.jobs {
            paths.extend(["", "/tasks", "/journal"].map(|end| format!("/api/v1/jobs/{job}{end}")));
        }
        paths.extend(self.tasks.iter().map(|task| format!("/api/v1/tasks/{task}")));
        let mut read = Vec::new();
        for path in paths {
            let response = self.send(&Call::get(path), Some("ada"), None).await;
            assert_eq!(response.status(), StatusCode::OK);
            read.push(response.json().await.unwrap());
        }
        read
    }

    /// Returns every call of a path, with Ada's ids as its parameters.
    fn calls_to(&self, path: &str, methods: &[Method]) -> Vec<Call> {
        let mut paths = BTreeSet::new();
        for id in self.adas_ids() {
            for action in ["cancel", "pause", "resume", "retry", "pace", "check"] {
                let parts = path.split('/').map(|part| match part {
                    "{what}" => action,
                    part if part.starts_with('{') => id,
                    part => part,
                });
                paths.insert(parts.collect::<Vec<_>>().join("/"));
            }
        }
        let mut calls = Vec::new();
        for path in paths {
            for method in methods {
                if method == Method::GET {
                    calls.push(Call::get(path.clone()));
                    continue;
                }
                for body in self.request_bodies() {
                    let (method, path) = (method.clone(), path.clone());
                    calls.push(Call { method, path, body: Some(body) });
                }
            }
        }
        calls
    }

    fn request_bodies(&self) -> Vec<(&'static str, String)> {
        const FORM: &str = "application/x-www-form-urlencoded";
        const JSON: &str = "application/json";
        let part = |name: &str, rest: &str, value: &str| {
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{value}\r\n"
            )
        };
        let file = part("file", "; filename=\"f.csv\"", "sku,title,price\nA,Lamp,1\n");
        let launch = format!("{file}{}--b--\r\n", part("channels", "", "acme"));
        vec![
            (FORM, "as=succeeded&up_to=1".into()),
            (JSON, "{}".into()),
            (JSON, r#"{"as":"succeeded"}"#.into()),
            (JSON, r#"{"up_to":1}"#.into()),
            (JSON, format!(r#"{{"tasks":["{}"]}}"#, self.tasks.join(r#"",""#))),
            (JSON, r#"{"instance_ids":["i-0a1b2c3d4e5f60001"]}"#.into()),
            (JSON, r#"{"name":"x"}"#.into()),
            ("multipart/form-data; boundary=b", launch),
        ]
    }
}

/// Returns a call of every server function, with `id` wherever one takes an id.
fn server_function_calls(id: &str) -> Vec<Call> {
    let functions = leptos::server_fn::axum::server_fn_paths();
    let calls = functions.flat_map(|(path, method)| {
        server_function_arguments(path, id).into_iter().map(move |arguments| Call {
            method: method.clone(),
            path: path.to_owned(),
            body: Some(("application/json", arguments.to_string())),
        })
    });
    calls.collect()
}

#[derive(Clone, Debug)]
struct Call {
    method: Method,
    path: String,
    body: Option<(&'static str, String)>,
}

impl Call {
    fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }
}

/// Returns the arguments of calls of the server function at `path`, with `id` wherever it takes
/// one. A function that is not listed here fails the tests, so that none is missed.
fn server_function_arguments(path: &str, id: &str) -> Vec<Value> {
    let filter = GridFilter::All;
    let name = path.trim_start_matches("/api/").trim_end_matches(|c: char| c.is_ascii_digit());
    let arguments = match name {
        "load_server_page" => {
            let task = format!("task/{id}");
            let arguments = [None, Some("task.failed"), Some(&*task)];
            return ServerPage::ALL
                .iter()
                .flat_map(|page| {
                    arguments.map(|argument| json!({ "page": page, "argument": argument }))
                })
                .collect();
        }
        "load_launch_page" | "load_recent_jobs" | "load_inbox" => json!({}),
        "load_machines" => {
            // The page repeats what is searched for in its links.
            json!({ "filter": MachineListFilter::default(), "is_panel": false })
        }
        "load_jobs" => {
            json!({ "filter": JobListFilter { q: Some(CANARY.into()), ..JobListFilter::default() } })
        }
        "load_job" => json!({ "id": id, "filter": filter, "search_text": CANARY, "offset": 0 }),
        "load_rows" => {
            json!({ "id": id, "filter": filter, "search_text": CANARY, "offset": 0, "limit": 10 })
        }
        "load_flow" | "load_task" => json!({ "id": id }),
        "load_missed_summary" => json!({ "seq": 0 }),
        "load_timeline" => json!({ "id": id, "before": null }),
        "load_search_results" => json!({ "search_text": CANARY }),
        _ => panic!("this test has no arguments for the server function {path}"),
    };
    vec![arguments]
}

/// Returns the paths of the router's table and of the pages.
fn all_paths() -> BTreeSet<String> {
    let pages = leptos_axum::generate_route_list(app::App);
    let pages = pages.iter().map(|page| page.path().to_owned());
    server::router::paths().into_iter().chain(pages).collect()
}

fn redirects_to_sign_in(response: &Response) -> bool {
    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    response.status().is_redirection()
        && to.is_some_and(|to| ["/sign-in", "/setup"].contains(&to.split('?').next().unwrap()))
}

#[tokio::test]
async fn route_and_function_lists_are_complete() {
    let paths = all_paths();
    for known in ["/", "/jobs/{id}", "/jobs/{id}/{what}", "/ws", "/api/v1/jobs/{id}/tasks"] {
        assert!(paths.contains(known), "{known} is not in {paths:?}");
    }
    let functions = server_function_calls("any");
    assert!(functions.len() >= 13, "{functions:?}");
    // A cookie of another site's making is never sent with a POST.
    assert!(functions.iter().all(|call| call.method == Method::POST), "{functions:?}");
}

#[tokio::test]
async fn unauthenticated_requests_read_and_change_nothing() {
    let fixture = AccessFixture::start().await;
    let before = fixture.snapshot().await;
    for path in all_paths() {
        let open = PUBLIC_PATHS.contains(&path.as_str());
        for call in fixture.calls_to(&path, &METHODS) {
            for session in [None, Some("not-a-session")] {
                let origin = fixture.meanwhile.api.url("");
                let response = fixture.send(&call, session, Some(&origin)).await;
                let status = response.status();
                let denied = status == StatusCode::UNAUTHORIZED
                    || status == StatusCode::METHOD_NOT_ALLOWED
                    || redirects_to_sign_in(&response);
                let absent = path.contains("{*") && status == StatusCode::NOT_FOUND;
                assert!(denied || absent || open, "{call:?}: {status}");
                assert!(!response.headers().contains_key(header::SET_COOKIE), "{call:?}");
                let text = response.text().await.unwrap();
                assert!(!text.contains(CANARY), "{call:?}: {text}");
            }
        }
    }
    for call in server_function_calls(&fixture.jobs[0]) {
        let response = fixture.send(&call, None, Some(&fixture.meanwhile.api.url(""))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{call:?}");
    }
    assert_eq!(fixture.snapshot().await, before);
}

#[tokio::test]
async fn other_users_resources_are_not_found() {
    let fixture = AccessFixture::start().await;
    let before = fixture.snapshot().await;
    let origin = fixture.meanwhile.api.url("");
    for (n, path) in all_paths().into_iter().enumerate() {
        let bob = format!("bob-{n}");
        fixture.sign_in_bob(&bob).await;
        for method in METHODS {
            let mut statuses = BTreeSet::new();
            for call in fixture.calls_to(&path, &[method]) {
                let response = fixture.send(&call, Some(&bob), Some(&origin)).await;
                let status = response.status();
                assert!(!status.is_server_error(), "{call:?}: {status}");
                statuses.insert(status.as_u16());
                let text = response.text().await.unwrap();
                assert!(!text.contains(CANARY), "{call:?}: {text}");
                if path.contains('{') {
                    assert!(
                        status.is_client_error() && status != StatusCode::FORBIDDEN,
                        "{call:?}"
                    );
                }
            }
            let absent = statuses == BTreeSet::from([405]);
            // A one-time link belongs to whoever has it.
            let open = PUBLIC_PATHS.contains(&path.as_str());
            let named = path.contains('{') && !path.contains("{*") && !absent && !open;
            assert!(!named || statuses.contains(&404), "{path}: {statuses:?}");
        }
    }
    fixture.sign_in_bob("bob").await;
    for id in fixture.adas_ids() {
        for call in server_function_calls(id) {
            let response = fixture.send(&call, Some("bob"), Some(&origin)).await;
            let text = response.text().await.unwrap();
            assert!(!text.contains(CANARY), "{call:?}: {text}");
            let understood = !["Args|", "Deserialization|"].iter().any(|why| text.starts_with(why));
            assert!(understood, "this test sends wrong arguments: {call:?}: {text}");
        }
    }
    // Bob can't retry Ada's tasks through a job of his own.
    let own: Value = fixture
        .send(&Call::get("/api/v1/jobs".into()), Some("bob"), None)
        .await
        .json()
        .await
        .unwrap();
    let path = format!("/api/v1/jobs/{}/retry", own["items"][0]["id"].as_str().unwrap());
    for body in fixture.request_bodies().into_iter().filter(|(_, body)| body.contains("tasks")) {
        let call = Call { method: Method::POST, path: path.clone(), body: Some(body) };
        let response = fixture.send(&call, Some("bob"), Some(&origin)).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
    }
    assert_eq!(fixture.snapshot().await, before);
    // Ada sees her data at the same paths.
    let mut seen = 0;
    for path in all_paths() {
        for call in fixture.calls_to(&path, &[Method::GET]) {
            let response = fixture.send(&call, Some("ada"), None).await;
            seen += usize::from(response.text().await.unwrap().contains(CANARY));
        }
    }
    for call in server_function_calls(&fixture.jobs[0]) {
        let response = fixture.send(&call, Some("ada"), Some(&origin)).await;
        seen += usize::from(response.text().await.unwrap().contains(CANARY));
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn cross_origin_requests_change_nothing() {
    let fixture = AccessFixture::start().await;
    let before = fixture.snapshot().await;
    let port = fixture.meanwhile.api.port;
    let origins = [
        None,
        Some("null".to_owned()),
        Some(format!("https://127.0.0.1:{port}")),
        Some("http://127.0.0.1:1".to_owned()),
        Some(format!("http://127.0.0.1:{port}.evil.example")),
        Some(format!("http://evil.example/http://127.0.0.1:{port}")),
    ];
    for path in all_paths() {
        let probe = ["/healthz", "/readyz"].contains(&path.as_str());
        for call in fixture.calls_to(&path, &METHODS[1..]) {
            for origin in &origins {
                let response = fixture.send(&call, Some("ada"), origin.as_deref()).await;
                let expected =
                    if probe { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::FORBIDDEN };
                assert_eq!(response.status(), expected, "{call:?} from {origin:?}");
            }
        }
    }
    for call in server_function_calls(&fixture.jobs[0]) {
        for origin in &origins {
            let response = fixture.send(&call, Some("ada"), origin.as_deref()).await;
            let read = call.method == Method::GET;
            assert!(read || response.status() == StatusCode::FORBIDDEN, "{call:?}: {origin:?}");
        }
    }
    assert_eq!(fixture.snapshot().await, before);
}

#[tokio::test]
async fn websocket_needs_a_session_and_our_own_origin() {
    let fixture = AccessFixture::start().await;
    let port = fixture.meanwhile.api.port;
    let own = format!("http://127.0.0.1:{port}");
    let open = async |session: Option<&str>, origin: Option<&str>| -> u16 {
        let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request().unwrap();
        if let Some(token) = session {
            let value = HeaderValue::from_str(&session_cookie(token)).unwrap();
            request.headers_mut().insert("cookie", value);
        }
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            // The server closes the socket before the client sends anything.
            Ok((mut socket, response)) if session != Some("ada") => {
                let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
                let message = message.unwrap().unwrap().unwrap();
                let tungstenite::Message::Close(Some(frame)) = message else {
                    panic!("{} and {message:?}", response.status())
                };
                frame.code.into()
            }
            Ok((_, response)) => response.status().as_u16(),
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(open(Some("ada"), Some(&own)).await, 101);
    assert_eq!(open(Some("ada"), Some(&format!("http://localhost:{port}"))).await, 101);
    let signed_out = contract::websocket::CloseCode::SignInRequired.code();
    assert_eq!(open(None, Some(&own)).await, signed_out);
    assert_eq!(open(Some("not-a-session"), Some(&own)).await, signed_out);
    assert_eq!(open(None, None).await, 401);
    assert_eq!(open(None, Some("https://evil.example")).await, 401);
    assert_eq!(open(Some("ada"), None).await, 403);
    for foreign in [
        "null".to_owned(),
        "https://evil.example".to_owned(),
        format!("https://127.0.0.1:{port}"),
        "http://127.0.0.1:1".to_owned(),
        "http://127.0.0.1".to_owned(),
        format!("{own}.evil.example"),
        format!("{own}@evil.example"),
        format!("{own}/"),
        format!("{own}, {own}"),
        format!("http://evil.example?{own}"),
        format!("ws://127.0.0.1:{port}"),
    ] {
        assert_eq!(open(Some("ada"), Some(&foreign)).await, 403, "{foreign}");
    }
}

#[tokio::test]
async fn unauthenticated_and_cross_origin_requests_are_rejected() {
    let meanwhile = start_server().await;
    for path in ["/api/v1/jobs", "/api/v1/notifications", "/api/v1/channels"] {
        let response = meanwhile.api.client.get(meanwhile.api.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    for origin in ["null", "https://evil.example", "http://localhost.evil.example"] {
        let request = meanwhile
            .api
            .client
            .post(meanwhile.api.url("/api/v1/jobs/product-uploads?channels=acme"))
            .header(header::ORIGIN, origin)
            .header(header::COOKIE, &meanwhile.api.cookie)
            .body("sku,title,price\nA,Lamp,1\n");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(
        meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"],
        serde_json::json!([])
    );
}
