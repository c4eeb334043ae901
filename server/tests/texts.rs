//! Texts that are too long, or hold control characters, are refused at every
//! edge with a sentence that names the field; nothing is stored, and neither
//! the log nor the counters of failures tell of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::{Client, RequestBuilder, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};
use support::Meanwhile;

const UPLOADS: &str = "/api/v1/jobs/product-uploads";
const CSV: &str = "sku,title,price\nA-1,Lamp,19.90\n";

/// The sentence of a refusal.
async fn refusal(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    let status = response.status();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_stranger_cannot_fill_the_log_at_the_sign_in() {
    let meanwhile = Meanwhile::start().await;
    let sign_in = |email: &str, password: &str| {
        let who = json!({ "email": email, "password": password });
        meanwhile.client.post(meanwhile.url("/api/v1/session")).json(&who)
    };
    let nul = refusal(sign_in("a\0b@example.com", "guessed-it")).await;
    let words = "The email address has a control character (U+0000) as its character 2. Remove it.";
    assert_eq!(nul, words);
    let long = refusal(sign_in(&"a".repeat(60_000), "guessed-it")).await;
    let words = "The email address has 60000 characters; at most 254 are allowed. Shorten it.";
    assert_eq!(long, words);
    let password = refusal(sign_in("ada@example.com", &"p".repeat(1_001))).await;
    assert!(password.starts_with("The password has 1001 characters"), "{password}");

    // As a form, which leads back to its page.
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let form = client
        .post(meanwhile.url("/sign-in"))
        .header(header::ORIGIN, meanwhile.url(""))
        .form(&[("email", "a\0b@example.com"), ("password", "guessed-it")]);
    let led = form.send().await.unwrap();
    let to = led.headers()[header::LOCATION].to_str().unwrap();
    assert!(to.starts_with("/sign-in?problem=The%20email%20address%20has"), "{to}");

    // More than a stranger may send is not even read.
    let large = sign_in(&"a".repeat(1 << 20), "guessed-it").send().await.unwrap();
    assert_eq!(large.status(), StatusCode::UNAUTHORIZED);

    let log = meanwhile.log();
    assert!(!log.contains("store failed") && !log.contains("ERROR"), "{log}");
    // None of it counted as a guess.
    let right = sign_in("ada@example.com", "correct-horse").send().await.unwrap();
    assert_eq!(right.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn every_field_is_bounded_and_named() {
    let meanwhile = Meanwhile::start().await;
    let long = "x".repeat(1_000);
    for bad in ["a%00b", "a%1Bb", &long] {
        let path = |query: &str| format!("{query}{bad}");
        for (query, field) in [
            (path(&format!("{UPLOADS}?channels=acme&file=")), "file's name"),
            (path(&format!("{UPLOADS}?channels=")), "channel"),
        ] {
            let words = refusal(meanwhile.post(&query).body(CSV)).await;
            assert!(words.contains(field) || words.contains("parameter"), "{query}: {words}");
        }
    }
    let post = |path: &str, body: Value| meanwhile.post(path).json(&body);
    let words =
        refusal(post("/api/v1/tokens", json!({ "name": "a\u{7f}", "password": "correct-horse" })))
            .await;
    assert!(words.starts_with("The token's name has a control character"), "{words}");
    let ids = json!({ "instance_ids": ["i-1\0"] });
    let words = refusal(post("/api/v1/jobs/ec2-starts", ids)).await;
    assert!(words.starts_with("The machine's id has a control character"), "{words}");
    let ids = json!({ "instance_ids": ["i".repeat(65)] });
    let words = refusal(post("/api/v1/jobs/ec2-starts", ids)).await;
    assert!(words.starts_with("The machine's id has 65 characters"), "{words}");
    // Many ids are more than other bodies may hold, and still a list of ids.
    let ids: Vec<_> = (0..20_000).map(|n| format!("i-{n:017}")).chain(["i-\0".into()]).collect();
    let words = refusal(post("/api/v1/jobs/ec2-starts", json!({ "instance_ids": ids }))).await;
    assert!(words.starts_with("The machine's id has a control character"), "{words}");

    let cell = "sku,title,price\nA-1,La\u{1b}[31mmp,19.90\n";
    let words = refusal(meanwhile.post(&format!("{UPLOADS}?channels=acme")).body(cell)).await;
    let place = "The first: line 2, title: the cell holds a control character (U+001B): remove it.";
    assert!(words.contains(place), "{words}");
    assert_eq!(meanwhile.get("/api/v1/jobs").await["items"], json!([]));
    assert_eq!(meanwhile.get("/api/v1/tokens").await["items"], json!([]));
}

#[tokio::test]
async fn a_file_name_of_megabytes_is_refused_by_the_form_and_not_shown_again() {
    let meanwhile = Meanwhile::start().await;
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let long = "x".repeat(8 << 20);
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{long}\"\r\n\
         Content-Type: text/csv\r\n\r\n{CSV}\r\n"
    );
    // A page that answers carries the file along.
    let carried = [part("name", "a\u{1b}b.csv"), part("content", &hex::encode(CSV))].concat();
    for file in [file, carried] {
        let form = [&part("channels", "acme"), file.as_str(), "--b--\r\n"].concat();
        let sent = meanwhile
            .post("/launch/upload")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(form);
        let sent = sent.send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = sent.text().await.unwrap();
        assert!(page.contains("s name has"), "{page}");
        assert!(page.len() < 100_000, "{} bytes", page.len());
    }
    assert_eq!(meanwhile.get("/api/v1/jobs").await["items"], json!([]));
}
