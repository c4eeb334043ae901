//! A RabbitMQ node of a test's own, on ports and in a folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Runs until it is dropped.
pub struct RabbitNode {
    child: Child,
    port: u16,
    node: String,
    folder: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RabbitNode {
    /// Starts a node and waits until it answers.
    ///
    /// A run without RabbitMQ fails: a skipped suite would look like a passed
    /// one.
    pub fn start() -> Self {
        assert!(Path::new(SERVER).exists(), "RabbitMQ is missing: run scripts/setup.sh test");
        let folder = tempfile::tempdir().unwrap();
        let (port, distribution) = (free_port(), free_port());
        let node = format!("meanwhile-{port}@localhost");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("plugins"), "[].\n").unwrap();
        std::fs::write(path("rabbitmq.conf"), format!("listeners.tcp.1 = 127.0.0.1:{port}\n"))
            .unwrap();
        let child = Command::new(SERVER)
            .env("RABBITMQ_NODENAME", &node)
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("HOME", folder.path())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let node = Self { child, port, node, folder };
        let start = Instant::now();
        while !node.control(&["await_startup", "--timeout", "5"]) {
            assert!(start.elapsed() < Duration::from_secs(90), "RabbitMQ did not start");
        }
        node
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Runs `rabbitmqctl`; whether it succeeded.
    pub fn control(&self, arguments: &[&str]) -> bool {
        Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl")
            .args(["--node", &self.node])
            .args(arguments)
            .env("HOME", self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for RabbitNode {
    fn drop(&mut self) {
        // The script's own child is the node: it is asked to stop first.
        self.control(&["stop"]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
