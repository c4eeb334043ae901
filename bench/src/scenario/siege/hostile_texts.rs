//! Texts that no database keeps, and texts of megabytes, at every edge of a
//! server on PostgreSQL, which refuses bytes of zero.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection::{self, STRANGER},
};
use crate::process::Meanwhile;
use anyhow::Context;
use futures_util::FutureExt;
use servers::PostgresNode;
use std::collections::BTreeMap;

pub const ATTEMPT: Attempt = Attempt {
    name: "hostile-texts",
    required: "Bytes of zero and names of megabytes are refused with 422 at every edge, are stored \
               nowhere, and put nothing into the log.",
    run: |setting| run(setting).boxed(),
};

/// Memory that the texts may leave behind, bytes.
const MEMORY: u64 = 150_000_000;

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let tries = setting.choose(300, 20);
    let large = setting.choose(30 << 20, 2 << 20);
    let node = tokio::task::spawn_blocking(PostgresNode::start).await?;
    let meanwhile = setting.start_with(&[("MEANWHILE_DATABASE", node.url())]).await?;
    let port = meanwhile.api.port;
    let before = meanwhile.memory()?.now;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut count = |answer: &str| *statuses.entry(connection::status(answer)).or_default() += 1;

    // A stranger, at the sign-in.
    for _ in 0..tries {
        let json = r#"{"email":"a\u0000@example.com","password":"guess-a-word"}"#;
        let request = post(port, "/api/v1/session", "application/json", "", json.as_bytes());
        count(&connection::ask(STRANGER, port, &request).await?);
    }
    // Somebody who is signed in.
    let cookie = format!("Cookie: {}\r\n", meanwhile.api.cookie);
    let name = "x".repeat(large);
    let file = format!(
        "name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\nsku,title,price\n"
    );
    for field in [file, "name=\"name\"\r\n\r\na\0b.csv".to_owned()] {
        let form = format!("--b\r\nContent-Disposition: form-data; {field}\r\n--b--\r\n");
        let kind = "multipart/form-data; boundary=b";
        let request = post(port, "/launch/upload", kind, &cookie, form.as_bytes());
        count(&connection::ask(STRANGER, port, &request).await?);
    }
    for (path, body) in [
        ("/api/v1/tokens", r#"{"name":"a\u0000","password":"x"}"#),
        ("/api/v1/jobs/ec2-starts", r#"{"instance_ids":["i-\u0000"]}"#),
    ] {
        let request = post(port, path, "application/json", &cookie, body.as_bytes());
        count(&connection::ask(STRANGER, port, &request).await?);
    }
    for row in ["A-1,La\0mp,1", "A\0-1,Lamp,1", "A-1,La\u{1b}[31mmp,1"] {
        let path = "/api/v1/jobs/product-uploads?channels=acme";
        let csv = format!("sku,title,price\n{row}\n");
        let request = post(port, path, "text/csv", &cookie, csv.as_bytes());
        count(&connection::ask(STRANGER, port, &request).await?);
    }
    let path = "/api/v1/jobs/product-uploads?channels=acme&file=a%00b.csv";
    let request = post(port, path, "text/csv", &cookie, b"sku,title,price\nA-1,Lamp,1\n");
    count(&connection::ask(STRANGER, port, &request).await?);

    let mut outcome = Outcome::default();
    let only_422 = statuses.keys().eq([&422]);
    outcome.require(only_422, format!("requests by status: {statuses:?}"));
    let jobs = api(&meanwhile, "/api/v1/jobs").await?;
    outcome.require(jobs.contains("\"items\":[]"), "no job was stored");
    let log = std::fs::read_to_string(meanwhile.folder().join("log")).context("no log")?;
    let errors = log.lines().filter(|line| line.contains("ERROR")).count();
    outcome.require(errors == 0, format!("{errors} errors in the log"));
    let over = meanwhile.memory()?.now.saturating_sub(before);
    outcome.require(over <= MEMORY, format!("{} MB of memory are left behind", over / 1_000_000));
    drop(meanwhile);
    tokio::task::spawn_blocking(move || drop(node)).await?;
    Ok(outcome)
}

/// Returns a POST request with `headers` as lines that end with CRLF each.
fn post(port: u16, path: &str, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Returns what the administrator reads at `path`.
async fn api(meanwhile: &Meanwhile, path: &str) -> anyhow::Result<String> {
    let api = &meanwhile.api;
    let headers = format!("Cookie: {}\r\nConnection: close\r\n", api.cookie);
    let request = connection::get(api.port, path, &headers);
    connection::ask(STRANGER, api.port, request.as_bytes()).await
}
