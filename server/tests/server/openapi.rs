//! `docs/openapi.json` says what the API does: the same routes, methods and parameters, and a
//! successful answer of each operation. The answers of the other tests are checked too, see
//! `testbed::ApiSchemas`.

use crate::support::{get_page, new_server, start_server};
use contract::timestamp;
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testbed::{ApiSchemas, ServerProcess, api::product_csv, wait_until};

/// An id that nothing has.
const NO_ID: &str = "018f0000-0000-7000-8000-000000000000";

async fn document(server: &ServerProcess) -> Value {
    server.api.get_json("/openapi.json").await.unwrap()
}

#[test]
fn document_has_every_route_and_no_other() {
    let documented: BTreeSet<_> = ApiSchemas::published().methods().into_keys().collect();
    let routes = server::router::paths().into_iter();
    let routes: BTreeSet<_> = routes.filter(|path| path.starts_with("/api/v1/")).collect();
    assert_eq!(documented, routes);
}

#[tokio::test]
async fn document_has_every_method_and_other_methods_are_refused_with_allow() {
    let server = start_server().await;
    for (path, methods) in ApiSchemas::published().methods() {
        let url = server.api.url(&path.replace("{id}", NO_ID));
        let answer = server.api.client.request(Method::OPTIONS, url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json", "{path}");
        let allowed = answer.headers()[header::ALLOW].to_str().unwrap();
        let allowed = allowed.split(',').filter(|method| *method != "HEAD");
        let expected: BTreeSet<_> = methods.iter().map(String::as_str).collect();
        assert_eq!(allowed.collect::<BTreeSet<_>>(), expected, "{path}");
    }
}

#[tokio::test]
async fn documented_parameters_are_the_ones_that_are_read() {
    let server = start_server().await;
    let job = server.api.upload(product_csv(1), "one").await.unwrap().id.to_string();
    let document = document(&server).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let all = operation["parameters"].as_array().into_iter().flatten();
            let query = all.filter(|parameter| parameter["in"] == "query");
            let names: Vec<_> = query.map(|found| found["name"].as_str().unwrap()).collect();
            let path = format!("{}?nonsense=1", path.replace("{id}", &job));
            let request = match method.as_str() {
                "get" => server.api.get(&path),
                "post" => server.api.post(&path).body("sku,title,price\n"),
                "delete" => server.api.delete(&path),
                other => panic!("{other} {path}"),
            };
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{method} {path}");
            let detail = answer.json::<Value>().await.unwrap()["detail"].to_string();
            let known = match names.is_empty() {
                true => "This endpoint has no query parameters.".to_owned(),
                false => format!("Known: {}.", names.join(", ")),
            };
            let known_set = |text: &str| {
                let list = text.split_once("Known: ").map_or("", |(_, list)| list);
                list.trim_matches(['"', '.'])
                    .split(", ")
                    .map(str::to_owned)
                    .collect::<BTreeSet<_>>()
            };
            let is_same = detail.contains(&known) || known_set(&detail) == known_set(&known);
            assert!(is_same && !known.is_empty(), "{method} {path}: {detail}, not {known}");
        }
    }
}

/// Calls operations, and remembers which ones have succeeded. The client checks each answer.
struct Caller {
    server: ServerProcess,
    succeeded: BTreeSet<(String, &'static str)>,
}

impl Caller {
    /// Calls an operation whose path has `id`, and returns the answer's JSON.
    async fn call(
        &mut self,
        method: &'static str,
        template: &str,
        id: &str,
        body: Option<Value>,
        status: u16,
    ) -> Value {
        let path = format!("/api/v1{}", template.replace("{id}", id));
        let api = &self.server.api;
        let mut request = match method {
            "GET" => api.get(&path),
            "POST" => api.post(&path),
            _ => api.delete(&path),
        };
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (found, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(found, status, "{method} {path}: {text}");
        self.succeeded.insert((format!("/api/v1{template}"), method));
        serde_json::from_str(&text).unwrap_or_default()
    }
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_documented() {
    let mut server = new_server().with_admin();
    server.set_env("MEANWHILE_NOOPS", "true");
    server.spawn().await.unwrap();
    server.api.sign_in().await.unwrap();
    let mut api = Caller { server, succeeded: BTreeSet::new() };
    let credentials = json!({ "email": testbed::api::ADMIN_EMAIL, "password": "correct-horse" });
    api.call("POST", "/session", "", Some(credentials.clone()), 204).await;

    // Uploads, with one row that is left out, and one that the channel rejects.
    let csv = "sku,title,price\nA-1,Lamp,1.00\nB-SBX-REJECT,Lamp,2.00\nC-3,,3.00\n";
    let path = "/api/v1/jobs/product-uploads?channels=acme&skip_bad=true";
    let dry_run = api.server.api.post(&format!("{path}&dry_run=true")).body(csv).send().await;
    assert_eq!(dry_run.unwrap().status(), StatusCode::OK);
    let launched = api.server.api.post(path).body(csv).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    let location = launched.headers()[header::LOCATION].to_str().unwrap().to_owned();
    api.succeeded.insert(("/api/v1/jobs/product-uploads".into(), "POST"));
    let job = location.rsplit('/').next().unwrap().to_owned();
    wait_until("the upload ends", async || {
        api.server.api.get_json(&location).await.unwrap()["open"] == 0
    })
    .await;
    api.call("GET", "/jobs", "", None, 200).await;
    api.call("GET", "/jobs/{id}", &job, None, 200).await;
    let tasks = api.call("GET", "/jobs/{id}/tasks", &job, None, 200).await;
    let task = id_of(&tasks["items"][0]);
    let detail = api.call("GET", "/tasks/{id}", &task, None, 200).await;
    let ended = detail["attempts"][0]["ended_at"].as_str().unwrap();
    assert!(timestamp::parse(ended).is_ok(), "{detail}");
    let left_out = api.call("GET", "/jobs/{id}/left-out", &job, None, 200).await;
    assert_eq!(left_out["items"][0]["line"], 4);
    let facts = api.call("GET", "/jobs/{id}/journal", &job, None, 200).await;
    assert!(facts["items"].as_array().unwrap().len() > 2, "{facts}");
    let rejected: Vec<_> = tasks["items"].as_array().unwrap().iter().collect();
    let rejected = rejected.iter().find(|task| task["state"] == "rejected").unwrap();
    let retry = json!({ "tasks": [rejected["id"]] });
    api.call("POST", "/jobs/{id}/retry", &job, Some(retry), 202).await;

    // A job that is paused before it ends.
    let control = json!({ "until": timestamp::format(now_ms() + 3_600_000), "note": "review" });
    api.call("POST", "/channels/{id}/pause", "acme", Some(control), 200).await;
    let waiting = api.server.api.upload_to_channels("acme", product_csv(3), "two").await.unwrap();
    let waiting = waiting.id.to_string();
    api.call("GET", "/channels", "", None, 200).await;
    let state = api.call("GET", "/channels/{id}", "acme", None, 200).await;
    assert!(state["pause"]["until"].is_string(), "{state}");
    for what in ["pause", "resume", "cancel"] {
        api.call("POST", &format!("/jobs/{{id}}/{what}"), &waiting, None, 202).await;
    }
    api.call("POST", "/channels/{id}/resume", "acme", None, 200).await;
    api.call("POST", "/channels/{id}/pace", "acme", Some(json!({ "rate": 1.0 })), 200).await;
    api.call("POST", "/channels/{id}/check", "acme", None, 200).await;
    let audit = api.call("GET", "/audit", "", None, 200).await;
    assert!(audit["items"][0]["at"].is_string(), "{audit}");

    let machines = api.call("GET", "/instances", "", None, 200).await;
    let machines = machines["items"].as_array().unwrap();
    for (what, state) in [("starts", "stopped"), ("stops", "running")] {
        let machine = machines.iter().find(|machine| machine["state"] == state);
        let ids = json!({ "instance_ids": [machine.unwrap_or(&machines[0])["id"]] });
        api.call("POST", &format!("/jobs/ec2-{what}"), "", Some(ids), 202).await;
    }
    api.call("GET", "/launch-templates", "", None, 200).await;
    api.call("POST", "/jobs/noops", "", Some(json!({ "count": 2 })), 202).await;

    api.call("GET", "/notifications", "", None, 200).await;
    api.call("POST", "/notifications/read", "", Some(json!({ "up_to": 1_000 })), 204).await;
    let new = json!({ "name": "nightly", "password": "correct-horse" });
    let token = id_of(&api.call("POST", "/tokens", "", Some(new), 201).await);
    api.call("GET", "/tokens", "", None, 200).await;
    api.call("DELETE", "/tokens/{id}", &token, None, 204).await;
    api.call("DELETE", "/session", "", None, 204).await;

    let methods = ApiSchemas::published().methods().into_iter();
    let all = methods.flat_map(|(path, methods)| {
        methods.into_iter().map(move |method| format!("{method} {path}"))
    });
    let succeeded: BTreeSet<_> =
        api.succeeded.iter().map(|(path, method)| format!("{method} {path}")).collect();
    // The sandbox has no launch templates, and no item of it needs review for certain.
    let left: Vec<_> = all.filter(|operation| !succeeded.contains(operation)).collect();
    assert_eq!(left, ["POST /api/v1/jobs/ec2-launches", "POST /api/v1/tasks/{id}/resolve"]);
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[tokio::test]
async fn reference_page_has_every_operation_and_loads_no_script() {
    let server = start_server().await;
    let page = get_page(&server, "/docs/api").await;
    for (_, operations) in document(&server).await["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
    assert!(page.contains(&format!("{}/api/v1/jobs", server.api.base_url())), "{page}");
    assert!(page.contains("id=\"type-Problem\""), "{page}");
    assert!(page.contains("set to an allowed value."), "{page}");
    // Descriptions are rendered, and none is for programmers in Rust.
    let sources = ["`", "](", "::", "<code>None</code>"];
    assert!(sources.iter().all(|source| !page.contains(source)), "{page}");
    let rfc = "<a href=\"https://www.rfc-editor.org/rfc/rfc9457\">RFC 9457</a>";
    assert!(page.contains(rfc), "{page}");
    let loads = ["<script src", ".wasm", "src=\"http", "url(http"];
    assert!(loads.iter().all(|load| !page.contains(load)), "{page}");
    let account = get_page(&server, "/account").await;
    assert!(account.contains("href=\"/docs/api\""), "{account}");
}

#[tokio::test]
async fn document_is_served_to_everybody() {
    let server = new_server();
    let mut server = server.with_admin();
    server.spawn().await.unwrap();
    let answer = Client::new().get(server.api.url("/openapi.json")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.json::<Value>().await.unwrap()["openapi"], "3.1.0");
}
