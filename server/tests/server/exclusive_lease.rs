//! Two processes with embedded queues can't share one PostgreSQL database.

use crate::support::{new_server, server_command};
use std::{process::Stdio, time::Duration};
use testbed::PostgresNode;
use tokio::{process::Command, time::timeout};

/// Maximum time until the second process is refused. For 12 s it waits for the lease, which
/// expires if the first process was killed.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn second_process_is_refused_and_a_killed_one_does_not_block_a_restart() {
    let node = PostgresNode::start();
    let mut first = new_server().with_admin();
    let database = node.create_database();
    first.set_env("MEANWHILE_DATABASE", &database);
    first.spawn().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut second = Command::from(server_command(folder.path()));
    second.env("MEANWHILE_DATABASE", &database).stdin(Stdio::null()).kill_on_drop(true);
    let second = timeout(REFUSAL_TIMEOUT, second.output()).await;
    let second = second.expect("the second process was not refused: it still runs").unwrap();
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{stderr}");
    assert!(
        stderr.contains("works on this database") && stderr.contains("MEANWHILE_BROKER"),
        "{stderr}"
    );

    first.kill();
    first.spawn().await.unwrap();
}
