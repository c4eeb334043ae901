//! Requests that no browser sends: two Host headers, a search of 60 kB, an
//! endpoint that there is not, bytes of zero at the sign-in.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection::{self, STRANGER, status},
};
use futures_util::FutureExt;

pub const ATTEMPT: Attempt = Attempt {
    name: "bad-requests",
    required: "What no browser sends is refused with a problem document that names it, and \
               reaches neither the database nor another's host.",
    run: |setting| run(setting).boxed(),
};

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let meanwhile = setting.start().await?;
    let api = &meanwhile.api;
    let port = api.port;
    let ask = async |request: &str| connection::ask(STRANGER, port, request.as_bytes()).await;
    let cookie = format!("Cookie: {}\r\nConnection: close\r\n", api.cookie);
    let mut outcome = Outcome::default();

    let hosts = connection::get(port, "/sign-in", "Host: evil.example\r\nConnection: close\r\n");
    let found = status(&ask(&hosts).await?);
    outcome.require(found == 400, format!("two Host headers are answered {found}"));

    let path = format!("/search?q={}", "a".repeat(60_000));
    let found = status(&ask(&connection::get(port, &path, &cookie)).await?);
    outcome.require(found == 422, format!("a search of 60 kB is answered {found}"));

    for path in ["/api/nothing", "/api/v1/nothing", "/api/v2/jobs"] {
        let answer = ask(&connection::get(port, path, &cookie)).await?;
        let is_problem = answer.to_ascii_lowercase().contains("application/problem+json");
        let found = status(&answer);
        let held = found == 404 && is_problem;
        outcome.require(held, format!("{path} is answered {found}, a problem: {is_problem}"));
    }

    let json = r#"{"email":"a\u0000da@example.com","password":"x\u0000y"}"#;
    let form = "email=a%00da%40example.com&password=x%00y";
    for (path, kind, body) in [
        ("/api/v1/session", "application/json", json),
        ("/sign-in", "application/x-www-form-urlencoded", form),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let found = status(&ask(&request).await?);
        // A form is led back to its page with a sentence.
        let held = matches!(found, 422 | 303);
        outcome.require(held, format!("bytes of zero at {path} are answered {found}"));
    }
    Ok(outcome)
}
