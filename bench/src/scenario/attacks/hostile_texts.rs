//! Sends texts with zero bytes, which PostgreSQL can't store, and texts of
//! megabytes to every entry point of a server on PostgreSQL.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    raw_connection::{self, ATTACKER_ADDRESS},
};
use anyhow::Context;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use testbed::{PostgresNode, ServerProcess};

pub const ATTACK: Attack = Attack {
    name: "hostile-texts",
    requirement: "Zero bytes and names of megabytes are refused with 422 at every entry point, are \
               stored nowhere, and log no errors.",
    run: |context| run(context).boxed(),
};

/// Maximum growth of memory afterwards, bytes.
const MAX_MEMORY: u64 = 150_000_000;

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let tries = context.full_or_quick(300, 20);
    let large = context.full_or_quick(30 << 20, 2 << 20);
    let node = tokio::task::spawn_blocking(PostgresNode::start).await?;
    let server = context.start_with_env(&[("MEANWHILE_DATABASE", node.create_database())]).await?;
    let port = server.api.port;
    let before = server.memory_usage()?.current;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut count =
        |answer: &str| *statuses.entry(raw_connection::status_code(answer)).or_default() += 1;

    // Signed out.
    for _ in 0..tries {
        let json = r#"{"email":"a\u0000@example.com","password":"guess-a-word"}"#;
        let request =
            post_request(port, "/api/v1/session", "application/json", "", json.as_bytes());
        count(&raw_connection::send_and_receive(ATTACKER_ADDRESS, port, &request).await?);
    }
    // Signed in.
    let cookie = format!("Cookie: {}\r\n", server.api.cookie);
    let name = "x".repeat(large);
    let file = format!(
        "name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\nsku,title,price\n"
    );
    for field in [file, "name=\"name\"\r\n\r\na\0b.csv".to_owned()] {
        let form = format!("--b\r\nContent-Disposition: form-data; {field}\r\n--b--\r\n");
        let kind = "multipart/form-data; boundary=b";
        let request = post_request(port, "/launch/upload", kind, &cookie, form.as_bytes());
        count(&raw_connection::send_and_receive(ATTACKER_ADDRESS, port, &request).await?);
    }
    for (path, body) in [
        ("/api/v1/tokens", r#"{"name":"a\u0000","password":"x"}"#),
        ("/api/v1/jobs/ec2-starts", r#"{"instance_ids":["i-\u0000"]}"#),
    ] {
        let request = post_request(port, path, "application/json", &cookie, body.as_bytes());
        count(&raw_connection::send_and_receive(ATTACKER_ADDRESS, port, &request).await?);
    }
    for row in ["A-1,La\0mp,1", "A\0-1,Lamp,1", "A-1,La\u{1b}[31mmp,1"] {
        let path = "/api/v1/jobs/product-uploads?channels=acme";
        let csv = format!("sku,title,price\n{row}\n");
        let request = post_request(port, path, "text/csv", &cookie, csv.as_bytes());
        count(&raw_connection::send_and_receive(ATTACKER_ADDRESS, port, &request).await?);
    }
    let path = "/api/v1/jobs/product-uploads?channels=acme&file=a%00b.csv";
    let request = post_request(port, path, "text/csv", &cookie, b"sku,title,price\nA-1,Lamp,1\n");
    count(&raw_connection::send_and_receive(ATTACKER_ADDRESS, port, &request).await?);

    let mut outcome = AttackResult::default();
    let only_422 = statuses.keys().eq([&422]);
    outcome.require(only_422, format!("requests by status: {statuses:?}"));
    let jobs = fetch_as_admin(&server, "/api/v1/jobs").await?;
    outcome.require(jobs.contains("\"items\":[]"), "no job was stored");
    let log = std::fs::read_to_string(server.folder().join("log")).context("no log")?;
    let errors = log.lines().filter(|line| line.contains("ERROR")).count();
    outcome.require(errors == 0, format!("{errors} errors in the log"));
    let growth = server.memory_usage()?.current.saturating_sub(before);
    outcome.require(
        growth <= MAX_MEMORY,
        format!("{} MB of memory are not released", growth / 1_000_000),
    );
    drop(server);
    tokio::task::spawn_blocking(move || drop(node)).await?;
    Ok(outcome)
}

/// Returns a POST request with `headers` as lines that end with CRLF each.
fn post_request(port: u16, path: &str, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Returns the response that the administrator gets at `path`.
async fn fetch_as_admin(server: &ServerProcess, path: &str) -> anyhow::Result<String> {
    let api = &server.api;
    let headers = format!("Cookie: {}\r\nConnection: close\r\n", api.cookie);
    let request = raw_connection::get_request(api.port, path, &headers);
    raw_connection::send_and_receive(ATTACKER_ADDRESS, api.port, request.as_bytes()).await
}
