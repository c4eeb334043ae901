//! Requests that no browser sends: two Host headers, a search of 60 kB, an
//! unknown endpoint, zero bytes at the sign-in.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    raw_connection::{self, ATTACKER_ADDRESS, status_code},
};
use futures_util::FutureExt;

pub const ATTACK: Attack = Attack {
    name: "bad-requests",
    requirement: "Requests that no browser sends are refused with a problem document that names the \
               problem, and reach neither the database nor another host.",
    run: |context| run(context).boxed(),
};

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let server = context.start().await?;
    let api = &server.api;
    let port = api.port;
    let send = async |request: &str| {
        raw_connection::send_and_receive(ATTACKER_ADDRESS, port, request.as_bytes()).await
    };
    let cookie = format!("Cookie: {}\r\nConnection: close\r\n", api.cookie);
    let mut outcome = AttackResult::default();

    let hosts = raw_connection::get_request(
        port,
        "/sign-in",
        "Host: evil.example\r\nConnection: close\r\n",
    );
    let found = status_code(&send(&hosts).await?);
    outcome.require(found == 400, format!("two Host headers are answered {found}"));

    let path = format!("/search?q={}", "a".repeat(60_000));
    let found = status_code(&send(&raw_connection::get_request(port, &path, &cookie)).await?);
    outcome.require(found == 422, format!("a search of 60 kB is answered {found}"));

    for path in ["/api/nothing", "/api/v1/nothing", "/api/v2/jobs"] {
        let answer = send(&raw_connection::get_request(port, path, &cookie)).await?;
        let is_problem = answer.to_ascii_lowercase().contains("application/problem+json");
        let found = status_code(&answer);
        let passed = found == 404 && is_problem;
        outcome.require(passed, format!("{path} is answered {found}, a problem: {is_problem}"));
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
        let found = status_code(&send(&request).await?);
        // A form is redirected to its page with a message.
        let passed = matches!(found, 422 | 303);
        outcome.require(passed, format!("zero bytes at {path} are answered {found}"));
    }
    Ok(outcome)
}
