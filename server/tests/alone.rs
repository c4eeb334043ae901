//! Processes with queues of their own on one PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use servers::PostgresNode;
use std::process::Command;
use support::{Meanwhile, free_port};

#[tokio::test]
async fn the_second_says_who_is_there_and_one_that_is_killed_is_in_nobodys_way() {
    let node = PostgresNode::start();
    let mut first = Meanwhile::new("127.0.0.1");
    first.env.push(("MEANWHILE_DATABASE", node.url()));
    first.spawn(true).await;

    let folder = tempfile::tempdir().unwrap();
    let second = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
        .env("MEANWHILE_DATABASE", &first.env[0].1)
        .env("MEANWHILE_DATA", folder.path())
        .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", free_port()))
        .output();
    let second = second.unwrap();
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{told}");
    assert!(told.contains("works on this database") && told.contains("MEANWHILE_BROKER"), "{told}");

    first.kill();
    first.spawn(true).await;
}
