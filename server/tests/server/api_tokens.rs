//! API tokens: what they permit, what they don't, and their revocation.

use crate::{seed, support::start_server};
use contract::websocket::CloseCode;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use testbed::ServerProcess;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue};

fn token_request(name: &str, password: &str) -> Value {
    json!({ "name": name, "password": password })
}

async fn create_token(meanwhile: &ServerProcess) -> (String, String) {
    let request =
        meanwhile.api.post("/api/v1/tokens").json(&token_request(" nightly ", "correct-horse"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let token: Value = response.json().await.unwrap();
    assert_eq!(token["name"], "nightly");
    (token["id"].as_str().unwrap().to_owned(), token["secret"].as_str().unwrap().to_owned())
}

async fn send_with_token(request: reqwest::RequestBuilder, secret: &str) -> Response {
    request.bearer_auth(secret).send().await.unwrap()
}

#[tokio::test]
async fn token_acts_for_its_user_until_revoked() {
    let meanwhile = start_server().await;
    let (id, secret) = create_token(&meanwhile).await;
    assert!(secret.starts_with("mw_") && secret.len() == 67, "{secret}");
    let client = Client::new();
    let launch = client.post(meanwhile.api.url("/api/v1/jobs/product-uploads?channels=acme"));
    let launched = send_with_token(launch.body("sku,title,price\nA,Lamp,1\n"), &secret).await;
    assert_eq!(launched.status(), StatusCode::ACCEPTED);

    let list = meanwhile.api.get_json("/api/v1/tokens").await.unwrap();
    assert_eq!(list["items"][0]["id"], id.as_str());
    let used = list["items"][0]["last_used_at"].as_str().unwrap();
    assert!(contract::timestamp::parse(used).is_ok(), "{list}");
    assert!(!list.to_string().contains(&secret));

    let revoke = client.delete(meanwhile.api.url(&format!("/api/v1/tokens/{id}")));
    assert_eq!(send_with_token(revoke, &secret).await.status(), StatusCode::NO_CONTENT);
    let jobs = send_with_token(client.get(meanwhile.api.url("/api/v1/jobs")), &secret).await;
    assert_eq!(jobs.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(meanwhile.api.get_json("/api/v1/tokens").await.unwrap()["items"], json!([]));
}

#[tokio::test]
async fn token_opens_no_page_except_the_failed_items_file() {
    let meanwhile = start_server().await;
    let (_, secret) = create_token(&meanwhile).await;
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for page in ["/people", "/account", "/", "/api/ask"] {
        let answer = send_with_token(client.get(meanwhile.api.url(page)), &secret).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{page}");
        assert!(!answer.text().await.unwrap().contains("ada@example.com"), "{page}");
    }
    for (form, fields) in [
        ("/people", [("email", "eve@example.com"), ("role", "admin")]),
        ("/account/sessions/end", [("", ""), ("", "")]),
        ("/account/password", [("old", "correct-horse"), ("new", "battery-staple")]),
        ("/account/tokens", [("name", "x"), ("password", "correct-horse")]),
        ("/sign-out", [("", ""), ("", "")]),
    ] {
        let request = client.post(meanwhile.api.url(form)).form(&fields);
        assert_eq!(
            send_with_token(request, &secret).await.status(),
            StatusCode::FORBIDDEN,
            "{form}"
        );
    }
    assert!(
        meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"].is_array(),
        "the session has ended"
    );
    let file = format!("/jobs/{}/failed.csv", uuid::Uuid::nil());
    let file = send_with_token(client.get(meanwhile.api.url(&file)), &secret).await;
    assert_eq!(file.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn creating_a_token_needs_the_password_and_shows_the_secret_once() {
    let meanwhile = start_server().await;
    let wrong = meanwhile.api.post("/api/v1/tokens").json(&token_request("x", "a wrong one"));
    assert_eq!(wrong.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = |path: &str| {
        let request =
            client.post(meanwhile.api.url(path)).header(header::ORIGIN, meanwhile.api.url(""));
        request.header(header::COOKIE, &meanwhile.api.cookie)
    };
    let create = form("/account/tokens");
    let fields = [
        ("name", "by form"),
        ("password", "correct-horse"),
        ("scope", "read"),
        ("expiry", "never"),
    ];
    let created = create.form(&fields).send().await;
    let created = created.unwrap();
    assert_eq!(created.headers()[header::LOCATION], "/account");
    let secret_cookie = created.headers()[header::SET_COOKIE].to_str().unwrap();
    let secret_cookie = secret_cookie.split(';').next().unwrap();
    let secret = secret_cookie.split_once('=').unwrap().1;
    let account = async |cookies: &str| {
        let page = client.get(meanwhile.api.url("/account")).header(header::COOKIE, cookies);
        page.send().await.unwrap().text().await.unwrap()
    };
    let shown = account(&format!("{}; {secret_cookie}", meanwhile.api.cookie)).await;
    assert!(shown.contains(secret), "{shown}");
    let later = account(&meanwhile.api.cookie).await;
    assert!(!later.contains(secret) && later.contains("by form"), "{later}");
    assert!(later.contains("never expires"), "{later}");
    let jobs = send_with_token(client.get(meanwhile.api.url("/api/v1/jobs")), secret).await;
    assert_eq!(jobs.status(), StatusCode::OK);

    let tokens = meanwhile.api.get_json("/api/v1/tokens").await.unwrap();
    assert_eq!(tokens["items"][0]["scope"], "read");
    let id = tokens["items"][0]["id"].as_str().unwrap();
    let revoked = form(&format!("/account/tokens/{id}/revoke")).send().await.unwrap();
    assert_eq!(revoked.headers()[header::LOCATION], "/account?saved=token");
    let jobs = send_with_token(client.get(meanwhile.api.url("/api/v1/jobs")), secret).await;
    assert_eq!(jobs.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn token_creates_no_token_and_ends_no_session() {
    let meanwhile = start_server().await;
    let (_, secret) = create_token(&meanwhile).await;
    let client = Client::new();
    let another =
        client.post(meanwhile.api.url("/api/v1/tokens")).json(&token_request("x", "correct-horse"));
    assert_eq!(send_with_token(another, &secret).await.status(), StatusCode::FORBIDDEN);
    let sign_out = client.delete(meanwhile.api.url("/api/v1/session"));
    assert_eq!(send_with_token(sign_out, &secret).await.status(), StatusCode::CONFLICT);
    for name in ["", " ", &"x".repeat(81)] {
        let unnamed =
            meanwhile.api.post("/api/v1/tokens").json(&token_request(name, "correct-horse"));
        assert_eq!(unnamed.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(
        meanwhile.api.get_json("/api/v1/tokens").await.unwrap()["items"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn invalid_token_is_rejected_despite_a_cookie_and_foreign_origin_despite_a_token() {
    let meanwhile = start_server().await;
    let (_, secret) = create_token(&meanwhile).await;
    let path = meanwhile.api.url("/api/v1/notifications/read");
    let read = || meanwhile.api.client.post(&path).json(&json!({ "up_to": 1 }));
    let forged = read().header(header::COOKIE, &meanwhile.api.cookie);
    assert_eq!(send_with_token(forged, "mw_made-up").await.status(), StatusCode::UNAUTHORIZED);
    let foreign = read().header(header::ORIGIN, "https://evil.example");
    assert_eq!(send_with_token(foreign, &secret).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(send_with_token(read(), &secret).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn websocket_opens_with_a_token_and_closes_on_revocation() {
    let meanwhile = start_server().await;
    let (id, secret) = create_token(&meanwhile).await;
    let open = async |secret: &str, origin: Option<&str>| {
        let url = format!("ws://127.0.0.1:{}/ws", meanwhile.api.port);
        let mut request = url.into_client_request().unwrap();
        let bearer = HeaderValue::from_str(&format!("Bearer {secret}")).unwrap();
        request.headers_mut().insert("authorization", bearer);
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(open("mw_made-up", None).await.err(), Some(401));
    assert_eq!(open(&secret, Some("https://evil.example")).await.err(), Some(403));
    let mut socket = open(&secret, None).await.unwrap();
    socket.send(Message::text(r#"{"type":"hello","v":1}"#)).await.unwrap();
    let welcome = socket.next().await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains("welcome"), "{welcome:?}");

    let revoke = meanwhile.api.client.delete(meanwhile.api.url(&format!("/api/v1/tokens/{id}")));
    assert_eq!(send_with_token(revoke, &secret).await.status(), StatusCode::NO_CONTENT);
    let code = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(frame) => break u16::from(frame.unwrap().code),
            other => assert!(other.is_text(), "{other:?}"),
        }
    };
    assert_eq!(code, CloseCode::SignInRequired.code());
}

/// Creates a token with more fields than a name, and returns its id and secret.
async fn create_token_with(meanwhile: &ServerProcess, terms: Value) -> (String, String) {
    let mut body = token_request("scoped", "correct-horse");
    body.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
    let response = meanwhile.api.post("/api/v1/tokens").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED, "{body}");
    let token: Value = response.json().await.unwrap();
    (token["id"].as_str().unwrap().to_owned(), token["secret"].as_str().unwrap().to_owned())
}

/// Returns the status and the detail of a response.
async fn status_and_detail(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    (status, body["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn each_scope_permits_what_it_says_and_a_refusal_names_the_one_needed() {
    let meanwhile = start_server().await;
    let client = Client::new();
    let url = |path: &str| meanwhile.api.url(path);
    let launch = || {
        let request = client.post(url("/api/v1/jobs/product-uploads?channels=acme"));
        request.body("sku,title,price\nA,Lamp,1\n")
    };
    let pause = || client.post(url("/api/v1/channels/acme/resume")).json(&json!({}));
    let (read_id, read) = create_token_with(&meanwhile, json!({ "scope": "read" })).await;
    let (launch_id, launcher) = create_token_with(&meanwhile, json!({})).await;
    let (_, admin) = create_token_with(&meanwhile, json!({ "scope": "admin" })).await;

    for (secret, launches, administers) in
        [(&read, false, false), (&launcher, true, false), (&admin, true, true)]
    {
        for path in ["/api/v1/jobs", "/api/v1/channels/acme", "/api/v1/tokens"] {
            let answer = send_with_token(client.get(url(path)), secret).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        let (status, detail) = status_and_detail(send_with_token(launch(), secret).await).await;
        assert_eq!(status, if launches { 202 } else { 403 }, "{detail}");
        assert!(launches || detail.contains("needs the scope `launch`"), "{detail}");
        for (what, request) in [
            ("resume", pause()),
            ("audit", client.get(url("/api/v1/audit"))),
            ("metrics", client.get(url("/metrics"))),
        ] {
            let answer = send_with_token(request, secret).await;
            let (status, detail) = status_and_detail(answer).await;
            assert_eq!(status, if administers { 200 } else { 403 }, "{what} {detail}");
            let needed = if launches || what != "resume" { "`admin`" } else { "`launch`" };
            assert!(administers || detail.contains(needed), "{what} {detail}");
        }
    }

    let revoke = |id: &str| client.delete(url(&format!("/api/v1/tokens/{id}")));
    let other = status_and_detail(send_with_token(revoke(&launch_id), &read).await).await;
    assert_eq!(other.0, 403, "{}", other.1);
    assert_eq!(send_with_token(revoke(&read_id), &read).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn user_gets_no_admin_token_and_expiries_are_checked() {
    let meanwhile = start_server().await;
    let bob = meanwhile.api.invite_user("bob@example.com", meanwhile.api.port).await.unwrap();
    let mut body = token_request("x", "correct-horse");
    body["scope"] = json!("admin");
    let refused = bob.post("/api/v1/tokens").json(&body).send().await.unwrap();
    let (status, detail) = status_and_detail(refused).await;
    assert!(status == 422 && detail.contains("Only an admin's token"), "{status} {detail}");
    for days in [0, 3651] {
        let mut body = token_request("x", "correct-horse");
        body["expires_in_days"] = json!(days);
        let refused = meanwhile.api.post("/api/v1/tokens").json(&body).send().await.unwrap();
        let (status, detail) = status_and_detail(refused).await;
        assert!(status == 422 && detail.contains("1 to 3650 days"), "{status} {detail}");
    }
    create_token_with(&meanwhile, json!({ "expires_in_days": null })).await;
    create_token_with(&meanwhile, json!({})).await;
    let listed = meanwhile.api.get_json("/api/v1/tokens").await.unwrap();
    let [default, never] = listed["items"].as_array().unwrap().as_slice() else {
        panic!("{listed}");
    };
    assert_eq!((&default["scope"], &never["expires_at"]), (&json!("launch"), &Value::Null));
    assert!(!default["expires_at"].is_null(), "{listed}");
}

#[tokio::test]
async fn expired_token_is_rejected_and_says_so() {
    let meanwhile = start_server().await;
    let (_, secret) = create_token(&meanwhile).await;
    seed::expire_tokens(&meanwhile).await;
    let jobs = meanwhile.api.client.get(meanwhile.api.url("/api/v1/jobs"));
    let (status, detail) = status_and_detail(send_with_token(jobs, &secret).await).await;
    assert_eq!(status, 401, "{detail}");
    assert!(detail.contains("This token has expired"), "{detail}");
    let page = crate::support::get_page(&meanwhile, "/account").await;
    assert!(page.contains("Read and launch, expired "), "{page}");
}
