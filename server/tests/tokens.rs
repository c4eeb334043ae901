//! A program's token: what it opens, what it does not, and its end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use contract::live::Close;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use support::Meanwhile;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue};

fn token(name: &str, password: &str) -> Value {
    json!({ "name": name, "password": password })
}

async fn make(meanwhile: &Meanwhile) -> (String, String) {
    let made = meanwhile.post("/api/v1/tokens").json(&token(" nightly ", "correct-horse"));
    let made = made.send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["name"], "nightly");
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

async fn with(request: reqwest::RequestBuilder, secret: &str) -> Response {
    request.bearer_auth(secret).send().await.unwrap()
}

#[tokio::test]
async fn a_token_acts_for_its_user_without_origin_until_it_is_revoked() {
    let meanwhile = Meanwhile::start().await;
    let (id, secret) = make(&meanwhile).await;
    assert!(secret.starts_with("mw_") && secret.len() == 67, "{secret}");
    let client = Client::new();
    let launch = client.post(meanwhile.url("/api/v1/jobs/product-uploads?channels=acme"));
    let launched = with(launch.body("sku,title,price\nA,Lamp,1\n"), &secret).await;
    assert_eq!(launched.status(), StatusCode::ACCEPTED);

    let list = meanwhile.get("/api/v1/tokens").await;
    assert_eq!(list["items"][0]["id"], id.as_str());
    assert!(list["items"][0]["last_used_at"].is_i64(), "{list}");
    assert!(!list.to_string().contains(&secret));

    let revoke = client.delete(meanwhile.url(&format!("/api/v1/tokens/{id}")));
    assert_eq!(with(revoke, &secret).await.status(), StatusCode::NO_CONTENT);
    let jobs = with(client.get(meanwhile.url("/api/v1/jobs")), &secret).await;
    assert_eq!(jobs.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(meanwhile.get("/api/v1/tokens").await["items"], json!([]));
}

#[tokio::test]
async fn a_token_reads_no_people_and_opens_no_page_but_the_file_of_failed_items() {
    let meanwhile = Meanwhile::start().await;
    let (_, secret) = make(&meanwhile).await;
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for page in ["/people", "/account", "/", "/api/ask"] {
        let answer = with(client.get(meanwhile.url(page)), &secret).await;
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
        let request = client.post(meanwhile.url(form)).form(&fields);
        assert_eq!(with(request, &secret).await.status(), StatusCode::FORBIDDEN, "{form}");
    }
    assert!(meanwhile.get("/api/v1/jobs").await["items"].is_array(), "the session has ended");
    let file = format!("/jobs/{}/failed.csv", uuid::Uuid::nil());
    let file = with(client.get(meanwhile.url(&file)), &secret).await;
    assert_eq!(file.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_is_made_by_who_knows_the_password_and_shown_once() {
    let meanwhile = Meanwhile::start().await;
    let wrong = meanwhile.post("/api/v1/tokens").json(&token("x", "a wrong one"));
    assert_eq!(wrong.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = |path: &str| {
        let request = client.post(meanwhile.url(path)).header(header::ORIGIN, meanwhile.url(""));
        request.header(header::COOKIE, &meanwhile.cookie)
    };
    let make = form("/account/tokens");
    let made = make.form(&[("name", "by form"), ("password", "correct-horse")]).send().await;
    let made = made.unwrap();
    assert_eq!(made.headers()[header::LOCATION], "/account");
    let carried = made.headers()[header::SET_COOKIE].to_str().unwrap();
    let carried = carried.split(';').next().unwrap();
    let secret = carried.split_once('=').unwrap().1;
    let account = async |cookies: &str| {
        let page = client.get(meanwhile.url("/account")).header(header::COOKIE, cookies);
        page.send().await.unwrap().text().await.unwrap()
    };
    let shown = account(&format!("{}; {carried}", meanwhile.cookie)).await;
    assert!(shown.contains(secret), "{shown}");
    let later = account(&meanwhile.cookie).await;
    assert!(!later.contains(secret) && later.contains("by form"), "{later}");
    let jobs = with(client.get(meanwhile.url("/api/v1/jobs")), secret).await;
    assert_eq!(jobs.status(), StatusCode::OK);

    let tokens = meanwhile.get("/api/v1/tokens").await;
    let id = tokens["items"][0]["id"].as_str().unwrap();
    let revoked = form(&format!("/account/tokens/{id}/revoke")).send().await.unwrap();
    assert_eq!(revoked.headers()[header::LOCATION], "/account?saved=token");
    let jobs = with(client.get(meanwhile.url("/api/v1/jobs")), secret).await;
    assert_eq!(jobs.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_makes_no_other_and_ends_no_session() {
    let meanwhile = Meanwhile::start().await;
    let (_, secret) = make(&meanwhile).await;
    let client = Client::new();
    let another = client.post(meanwhile.url("/api/v1/tokens")).json(&token("x", "correct-horse"));
    assert_eq!(with(another, &secret).await.status(), StatusCode::FORBIDDEN);
    let sign_out = client.delete(meanwhile.url("/api/v1/session"));
    assert_eq!(with(sign_out, &secret).await.status(), StatusCode::CONFLICT);
    for name in ["", " ", &"x".repeat(81)] {
        let unnamed = meanwhile.post("/api/v1/tokens").json(&token(name, "correct-horse"));
        assert_eq!(unnamed.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(meanwhile.get("/api/v1/tokens").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_bad_token_is_not_made_good_by_a_cookie_nor_a_foreign_origin_by_a_token() {
    let meanwhile = Meanwhile::start().await;
    let (_, secret) = make(&meanwhile).await;
    let path = meanwhile.url("/api/v1/notifications/read");
    let read = || meanwhile.client.post(&path).json(&json!({ "up_to": 1 }));
    let forged = read().header(header::COOKIE, &meanwhile.cookie);
    assert_eq!(with(forged, "mw_made-up").await.status(), StatusCode::UNAUTHORIZED);
    let foreign = read().header(header::ORIGIN, "https://evil.example");
    assert_eq!(with(foreign, &secret).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(with(read(), &secret).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_socket_opens_with_a_token_and_closes_when_it_is_revoked() {
    let meanwhile = Meanwhile::start().await;
    let (id, secret) = make(&meanwhile).await;
    let open = async |secret: &str, origin: Option<&str>| {
        let url = format!("ws://127.0.0.1:{}/ws", meanwhile.port);
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

    let revoke = meanwhile.client.delete(meanwhile.url(&format!("/api/v1/tokens/{id}")));
    assert_eq!(with(revoke, &secret).await.status(), StatusCode::NO_CONTENT);
    let code = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(frame) => break u16::from(frame.unwrap().code),
            other => assert!(other.is_text(), "{other:?}"),
        }
    };
    assert_eq!(code, Close::SignIn.code());
}
