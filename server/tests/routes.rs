//! Every route and every server function, tried by those who may not.
//!
//! The lists are the router's own table, the app's own routes and the
//! inventory of server functions, so that none is forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use app::data::ask::Question;
use contract::{UserId, api::Filter};
use engine::store::{Control, Store};
use futures_util::StreamExt;
use reqwest::{Client, Method, Response, StatusCode, header, redirect};
use serde_json::Value;
use std::{collections::BTreeSet, iter::successors, time::Duration};
use support::{
    Meanwhile,
    seed::{self, cookie, end, sign_in, upload},
};
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest, http::HeaderValue};

/// In the file's name, the SKUs and the titles of all that is Ada's.
const CANARY: &str = "canary";
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Paths that answer whoever asks, and tell nothing of anybody.
const OPEN: [&str; 9] = [
    "/healthz",
    "/readyz",
    "/pkg/{*name}",
    "/sw.js",
    "/setup",
    "/sign-in",
    "/api/v1/session",
    "/invite/{token}",
    "/reset/{token}",
];

struct World {
    meanwhile: Meanwhile,
    client: Client,
    /// Jobs and tasks of Ada's: some wait, some failed, one needs a person.
    jobs: Vec<String>,
    tasks: Vec<String>,
    token: String,
    store: Store,
    bob: UserId,
}

impl World {
    /// Ada has two jobs, Bob has one; she is signed in.
    async fn start() -> Self {
        let mut meanwhile = Meanwhile::new("127.0.0.1");
        let store = seed::store(&meanwhile).await;
        let ada = store.add_first_account("ada-canary@example.com", "hash").await.unwrap().user;
        let bob = seed::user(&meanwhile, "bob@example.com").await;
        sign_in(&store, ada, "ada").await;
        let token = seed::token(&store, ada, "canary-token").await.to_string();
        for user in [ada, bob] {
            let name = if user == ada { CANARY } else { "bobs" };
            store.accept(upload(user, name, &["acme"])).await.unwrap();
            end(&store, CANARY).await;
        }
        let paused = store.accept(upload(ada, CANARY, &["acme"])).await.unwrap().job;
        store.control(ada, paused.id, Control::Pause).await.unwrap();
        let jobs = store.jobs(ada, None, 10).await.unwrap().items;
        let mut tasks = Vec::new();
        for job in &jobs {
            let of_job = store.tasks(ada, job.id, None, 10).await.unwrap();
            tasks.extend(of_job.iter().map(|task| task.id.to_string()));
        }
        meanwhile.spawn(false).await;
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        let jobs = jobs.iter().map(|job| job.id.to_string()).collect();
        Self { meanwhile, client, jobs, tasks, token, store, bob }
    }

    /// A session of Bob's with that token. He is signed in right before each
    /// path is tried: some of them end the sessions that he has.
    async fn let_bob_in(&self, token: &str) {
        sign_in(&self.store, self.bob, token).await;
    }

    /// Ids of all that is Ada's.
    fn ids(&self) -> impl Iterator<Item = &String> {
        self.jobs.iter().chain(&self.tasks).chain([&self.token])
    }

    async fn send(&self, call: &Call, who: Option<&str>, origin: Option<&str>) -> Response {
        let mut request = self.client.request(call.method.clone(), self.meanwhile.url(&call.path));
        if let Some(token) = who {
            request = request.header(header::COOKIE, cookie(token));
        }
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some((media_type, body)) = &call.body {
            request = request.header(header::CONTENT_TYPE, *media_type).body(body.clone());
        }
        request.send().await.unwrap()
    }

    /// All that can be read of Ada's.
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

    /// Every call that can be made of a path, with Ada's ids in it.
    fn calls(&self, path: &str, methods: &[Method]) -> Vec<Call> {
        let mut paths = BTreeSet::new();
        for id in self.ids() {
            for what in ["cancel", "pause", "resume", "retry"] {
                let parts = path.split('/').map(|part| match part {
                    "{what}" => what,
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
                for body in self.bodies() {
                    let (method, path) = (method.clone(), path.clone());
                    calls.push(Call { method, path, body: Some(body) });
                }
            }
        }
        calls
    }

    fn bodies(&self) -> Vec<(&'static str, String)> {
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
            (FORM, "as=done&up_to=1".into()),
            (JSON, "{}".into()),
            (JSON, r#"{"as":"done","up_to":1}"#.into()),
            (JSON, format!(r#"{{"tasks":["{}"]}}"#, self.tasks.join(r#"",""#))),
            (JSON, r#"{"instance_ids":["i-0001"]}"#.into()),
            (JSON, r#"{"name":"x"}"#.into()),
            ("multipart/form-data; boundary=b", launch),
        ]
    }

    /// Calls of the server function with every question, and with `id`
    /// wherever one is asked for.
    fn functions(&self, id: &str) -> Vec<Call> {
        let functions = leptos::server_fn::axum::server_fn_paths();
        let calls = functions.flat_map(|(path, method)| {
            let first = behind(None, id);
            let questions = successors(first, |last| behind(Some(last), id));
            questions.map(move |question| {
                let arguments = serde_json::json!({ "question": question }).to_string();
                let body = Some(("application/json", arguments));
                Call { method: method.clone(), path: path.to_owned(), body }
            })
        });
        calls.collect()
    }
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

/// The question behind `last`, or the first. Each is named here, so that none
/// that comes is forgotten.
fn behind(last: Option<&Question>, id: &str) -> Option<Question> {
    let (id, q) = (id.to_owned(), CANARY.to_owned());
    let filter = Filter::All;
    let Some(last) = last else { return Some(Question::Launch) };
    Some(match last {
        Question::Launch => Question::Recent,
        Question::Recent => Question::Jobs { before: None, state: None, kind: None, q: Some(q) },
        Question::Jobs { .. } => Question::Machines,
        Question::Machines => Question::Job { id, filter, q, offset: 0 },
        Question::Job { .. } => Question::Grid { id, filter, q, offset: 0, limit: 10 },
        Question::Grid { .. } => Question::Flow { id },
        Question::Flow { .. } => Question::Timeline { id, before: None },
        Question::Timeline { .. } => Question::Task { id },
        Question::Task { .. } => Question::Inbox,
        Question::Inbox => Question::Search { q },
        Question::Search { .. } => Question::People,
        Question::People => Question::Account,
        Question::Account => return None,
    })
}

/// Paths of the router's table and of the pages.
fn paths() -> BTreeSet<String> {
    let pages = leptos_axum::generate_route_list(app::App);
    let pages = pages.iter().map(|page| page.path().to_owned());
    server::router::paths().into_iter().chain(pages).collect()
}

fn leads_to_the_door(response: &Response) -> bool {
    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    response.status().is_redirection()
        && to.is_some_and(|to| ["/sign-in", "/setup"].contains(&to.split('?').next().unwrap()))
}

#[tokio::test]
async fn the_lists_are_whole() {
    let paths = paths();
    for known in ["/", "/jobs/{id}", "/jobs/{id}/{what}", "/ws", "/api/v1/jobs/{id}/tasks"] {
        assert!(paths.contains(known), "{known} is not in {paths:?}");
    }
    let functions: Vec<_> = leptos::server_fn::axum::server_fn_paths().collect();
    // Another one would need calls of its own here.
    assert!(matches!(&functions[..], [(path, _)] if path.contains("answer")), "{functions:?}");
}

#[tokio::test]
async fn who_is_signed_out_is_told_nothing_and_changes_nothing() {
    let world = World::start().await;
    let before = world.snapshot().await;
    for path in paths() {
        let open = OPEN.contains(&path.as_str());
        for call in world.calls(&path, &METHODS) {
            for who in [None, Some("not-a-session")] {
                let origin = world.meanwhile.url("");
                let response = world.send(&call, who, Some(&origin)).await;
                let status = response.status();
                let kept_out = status == StatusCode::UNAUTHORIZED
                    || status == StatusCode::METHOD_NOT_ALLOWED
                    || leads_to_the_door(&response);
                let absent = path.contains("{*") && status == StatusCode::NOT_FOUND;
                assert!(kept_out || absent || open, "{call:?}: {status}");
                assert!(!response.headers().contains_key(header::SET_COOKIE), "{call:?}");
                let text = response.text().await.unwrap();
                assert!(!text.contains(CANARY), "{call:?}: {text}");
            }
        }
    }
    for call in world.functions(&world.jobs[0]) {
        let response = world.send(&call, None, Some(&world.meanwhile.url(""))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{call:?}");
    }
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn what_is_anothers_is_not_found() {
    let world = World::start().await;
    let before = world.snapshot().await;
    let origin = world.meanwhile.url("");
    for (n, path) in paths().into_iter().enumerate() {
        let bob = format!("bob-{n}");
        world.let_bob_in(&bob).await;
        for method in METHODS {
            let mut statuses = BTreeSet::new();
            for call in world.calls(&path, &[method]) {
                let response = world.send(&call, Some(&bob), Some(&origin)).await;
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
            // A one-time link is whoever's has it, not another's.
            let open = OPEN.contains(&path.as_str());
            let named = path.contains('{') && !path.contains("{*") && !absent && !open;
            assert!(!named || statuses.contains(&404), "{path}: {statuses:?}");
        }
    }
    world.let_bob_in("bob").await;
    for id in world.ids() {
        for call in world.functions(id) {
            let response = world.send(&call, Some("bob"), Some(&origin)).await;
            let text = response.text().await.unwrap();
            assert!(!text.contains(CANARY), "{call:?}: {text}");
            let understood = !["Args|", "Deserialization|"].iter().any(|why| text.starts_with(why));
            assert!(understood, "this test has to learn {call:?}: {text}");
        }
    }
    // In a job of his own he can't name another's items.
    let own: Value = world
        .send(&Call::get("/api/v1/jobs".into()), Some("bob"), None)
        .await
        .json()
        .await
        .unwrap();
    let path = format!("/api/v1/jobs/{}/retry", own["items"][0]["id"].as_str().unwrap());
    for body in world.bodies().into_iter().filter(|(_, body)| body.contains("tasks")) {
        let call = Call { method: Method::POST, path: path.clone(), body: Some(body) };
        let response = world.send(&call, Some("bob"), Some(&origin)).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
    }
    assert_eq!(world.snapshot().await, before);
    // Ada sees it all in the same places.
    let mut seen = 0;
    for path in paths() {
        for call in world.calls(&path, &[Method::GET]) {
            let response = world.send(&call, Some("ada"), None).await;
            seen += usize::from(response.text().await.unwrap().contains(CANARY));
        }
    }
    for call in world.functions(&world.jobs[0]) {
        let response = world.send(&call, Some("ada"), Some(&origin)).await;
        seen += usize::from(response.text().await.unwrap().contains(CANARY));
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn nothing_changes_from_another_site() {
    let world = World::start().await;
    let before = world.snapshot().await;
    let port = world.meanwhile.port;
    let origins = [
        None,
        Some("null".to_owned()),
        Some(format!("https://127.0.0.1:{port}")),
        Some("http://127.0.0.1:1".to_owned()),
        Some(format!("http://127.0.0.1:{port}.evil.example")),
        Some(format!("http://evil.example/http://127.0.0.1:{port}")),
    ];
    for path in paths() {
        let probe = ["/healthz", "/readyz"].contains(&path.as_str());
        for call in world.calls(&path, &METHODS[1..]) {
            for origin in &origins {
                let response = world.send(&call, Some("ada"), origin.as_deref()).await;
                let expected =
                    if probe { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::FORBIDDEN };
                assert_eq!(response.status(), expected, "{call:?} from {origin:?}");
            }
        }
    }
    for call in world.functions(&world.jobs[0]) {
        for origin in &origins {
            let response = world.send(&call, Some("ada"), origin.as_deref()).await;
            let read = call.method == Method::GET;
            assert!(read || response.status() == StatusCode::FORBIDDEN, "{call:?}: {origin:?}");
        }
    }
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn a_socket_opens_for_our_own_pages_and_a_session_alone() {
    let world = World::start().await;
    let port = world.meanwhile.port;
    let own = format!("http://127.0.0.1:{port}");
    let open = async |who: Option<&str>, origin: Option<&str>| -> u16 {
        let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request().unwrap();
        if let Some(token) = who {
            let value = HeaderValue::from_str(&cookie(token)).unwrap();
            request.headers_mut().insert("cookie", value);
        }
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            // What the server has to say before it hears anything.
            Ok((mut socket, response)) if who != Some("ada") => {
                let told = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
                let told = told.unwrap().unwrap().unwrap();
                let tungstenite::Message::Close(Some(frame)) = told else {
                    panic!("{} and {told:?}", response.status())
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
    let signed_out = contract::live::Close::SignIn.code();
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
