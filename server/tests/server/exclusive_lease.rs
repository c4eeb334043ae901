//! Two processes with embedded queues can't share one PostgreSQL database.

use crate::support::{BINARY, new_server};
use std::process::Command;
use testbed::{PostgresNode, free_port};

#[tokio::test]
async fn second_process_is_refused_and_a_killed_one_does_not_block_a_restart() {
    let node = PostgresNode::start();
    let mut first = new_server().with_admin();
    let database = node.create_database();
    first.set_env("MEANWHILE_DATABASE", &database);
    first.spawn().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let second = Command::new(BINARY)
        .env("MEANWHILE_DATABASE", &database)
        .env("MEANWHILE_DATA", folder.path())
        .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", free_port()))
        .output();
    let second = second.unwrap();
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{stderr}");
    assert!(
        stderr.contains("works on this database") && stderr.contains("MEANWHILE_BROKER"),
        "{stderr}"
    );

    first.kill();
    first.spawn().await.unwrap();
}
