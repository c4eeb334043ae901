//! Two processes with embedded queues can't share one PostgreSQL database.

use crate::support::{ServerProcess, free_port};
use std::process::Command;
use testbed::PostgresNode;

#[tokio::test]
async fn second_process_is_refused_and_a_killed_one_does_not_block_a_restart() {
    let node = PostgresNode::start();
    let mut first = ServerProcess::new("127.0.0.1");
    first.env.push(("MEANWHILE_DATABASE", node.create_database()));
    first.spawn(true).await;

    let folder = tempfile::tempdir().unwrap();
    let second = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
        .env("MEANWHILE_DATABASE", &first.env[0].1)
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
    first.spawn(true).await;
}
