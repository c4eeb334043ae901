//! Texts that are too long or contain control characters are rejected at every
//! entry point with a message that names the field. Nothing is stored, nothing is
//! logged as an error, and nothing counts as a failed sign-in.

use crate::support::start_server;
use reqwest::{Client, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};
use testbed::api::ApiRequest;

const UPLOADS: &str = "/api/v1/jobs/product-uploads";
const CSV: &str = "sku,title,price\nA-1,Lamp,19.90\n";

/// Sends a request that must fail with 422; returns the problem's detail.
async fn rejection_detail(request: impl Into<ApiRequest>) -> String {
    let response = request.into().send().await.unwrap();
    let status = response.status();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sign_in_input_is_bounded_and_not_logged() {
    let meanwhile = start_server().await;
    let sign_in = |email: &str, password: &str| {
        let credentials = json!({ "email": email, "password": password });
        meanwhile.api.client.post(meanwhile.api.url("/api/v1/session")).json(&credentials)
    };
    let nul = rejection_detail(sign_in("a\0b@example.com", "guessed-it")).await;
    let words = "The email address has a control character (U+0000) as its character 2. Remove it.";
    assert_eq!(nul, words);
    let long = rejection_detail(sign_in(&"a".repeat(60_000), "guessed-it")).await;
    let words = "The email address has 60000 characters; at most 254 are allowed. Shorten it.";
    assert_eq!(long, words);
    let password = rejection_detail(sign_in("ada@example.com", &"p".repeat(1_001))).await;
    assert!(password.starts_with("The password has 1001 characters"), "{password}");

    // The form redirects to its page with the same message.
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let form = client
        .post(meanwhile.api.url("/sign-in"))
        .header(header::ORIGIN, meanwhile.api.url(""))
        .form(&[("email", "a\0b@example.com"), ("password", "guessed-it")]);
    let response = form.send().await.unwrap();
    let to = response.headers()[header::LOCATION].to_str().unwrap();
    assert!(to.starts_with("/sign-in?problem=The%20email%20address%20has"), "{to}");

    // A body over the limit for signed-out clients is not read.
    let large = sign_in(&"a".repeat(1 << 20), "guessed-it").send().await.unwrap();
    assert_eq!(large.status(), StatusCode::UNAUTHORIZED);

    let log = meanwhile.read_log();
    assert!(!log.contains("store failed") && !log.contains("ERROR"), "{log}");
    // None of these requests counted as a failed sign-in.
    let right = sign_in("ada@example.com", "correct-horse").send().await.unwrap();
    assert_eq!(right.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn every_field_is_validated_and_named() {
    let meanwhile = start_server().await;
    let long = "x".repeat(1_000);
    for bad in ["a%00b", "a%1Bb", &long] {
        let path = |query: &str| format!("{query}{bad}");
        for (query, field) in [
            (path(&format!("{UPLOADS}?channels=acme&file=")), "file's name"),
            (path(&format!("{UPLOADS}?channels=")), "channel"),
        ] {
            let words = rejection_detail(meanwhile.api.post(&query).body(CSV)).await;
            assert!(words.contains(field) || words.contains("parameter"), "{query}: {words}");
        }
    }
    let post = |path: &str, body: Value| meanwhile.api.post(path).json(&body);
    let words = rejection_detail(post(
        "/api/v1/tokens",
        json!({ "name": "a\u{7f}", "password": "correct-horse" }),
    ))
    .await;
    assert!(words.starts_with("The token's name has a control character"), "{words}");
    let ids = json!({ "instance_ids": ["i-1\0"] });
    let words = rejection_detail(post("/api/v1/jobs/ec2-starts", ids)).await;
    assert!(words.starts_with("“i-1\u{fffd}” is not the id of a machine"), "{words}");
    let ids = json!({ "instance_ids": ["i".repeat(65)] });
    let words = rejection_detail(post("/api/v1/jobs/ec2-starts", ids)).await;
    assert!(words.starts_with(&format!("“{}…” is not", "i".repeat(63))), "{words}");
    // A list of ids may be larger than other JSON bodies.
    let ids: Vec<_> = (0..20_000).map(|n| format!("i-{n:017}")).chain(["i-\0".into()]).collect();
    let words =
        rejection_detail(post("/api/v1/jobs/ec2-starts", json!({ "instance_ids": ids }))).await;
    assert!(words.starts_with("“i-\u{fffd}” is not the id of a machine"), "{words}");

    let cell = "sku,title,price\nA-1,La\u{1b}[31mmp,19.90\n";
    let words =
        rejection_detail(meanwhile.api.post(&format!("{UPLOADS}?channels=acme")).body(cell)).await;
    let place = "The first: line 2, title: the cell holds a control character (U+001B): remove it.";
    assert!(words.contains(place), "{words}");
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
    assert_eq!(meanwhile.api.get_json("/api/v1/tokens").await.unwrap()["items"], json!([]));
}

#[tokio::test]
async fn overlong_file_name_is_rejected_and_not_echoed() {
    let meanwhile = start_server().await;
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let long = "x".repeat(8 << 20);
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{long}\"\r\n\
         Content-Type: text/csv\r\n\r\n{CSV}\r\n"
    );
    // An error page's form contains the file as a field.
    let embedded = [part("name", "a\u{1b}b.csv"), part("content", &hex::encode(CSV))].concat();
    for file in [file, embedded] {
        let form = [&part("channels", "acme"), file.as_str(), "--b--\r\n"].concat();
        let sent = meanwhile
            .api
            .post("/launch/upload")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(form);
        let sent = sent.send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = sent.text().await.unwrap();
        assert!(page.contains("s name has"), "{page}");
        assert!(page.len() < 100_000, "{} bytes", page.len());
    }
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
}
