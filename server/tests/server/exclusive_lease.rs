//! Two processes with embedded queues can't share one PostgreSQL database.

use crate::support::{new_server, server_command};
use testbed::PostgresNode;

#[tokio::test]
async fn second_process_is_refused_and_a_killed_one_does_not_block_a_restart() {
    let node = PostgresNode::start();
    let mut first = new_server().with_admin();
    let database = node.create_database();
    first.set_env("MEANWHILE_DATABASE", &database);
    first.spawn().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut second = server_command(folder.path());
    let second = second.env("MEANWHILE_DATABASE", &database).output().unwrap();
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{stderr}");
    assert!(
        stderr.contains("works on this database") && stderr.contains("MEANWHILE_BROKER"),
        "{stderr}"
    );

    first.kill();
    first.spawn().await.unwrap();
}
