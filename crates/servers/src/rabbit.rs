//! A RabbitMQ node of a test's own, on ports and in a folder of its own.

use super::{Tethered, free_port};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Runs until it is dropped.
pub struct RabbitNode {
    child: Option<Tethered>,
    port: u16,
    distribution: u16,
    name: String,
    folder: TempDir,
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
        std::fs::write(folder.path().join("plugins"), "[].\n").unwrap();
        let listen = format!("listeners.tcp.1 = 127.0.0.1:{port}\n");
        std::fs::write(folder.path().join("rabbitmq.conf"), listen).unwrap();
        let name = format!("meanwhile-{port}@localhost");
        let mut node = Self { child: None, port, distribution, name, folder };
        node.spawn();
        node
    }

    /// Starts it again, with what it kept.
    pub fn spawn(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let mut server = Command::new(SERVER);
        server
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("HOME", self.folder.path())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(Tethered::spawn(&mut server).unwrap());
        let start = Instant::now();
        while !self.control(&["await_startup", "--timeout", "5"]) {
            assert!(start.elapsed() < Duration::from_secs(120), "RabbitMQ did not start");
        }
    }

    /// Ends it with `kill -9`; what it has written stays.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        if !pid.trim().is_empty() {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
        self.child = None;
    }

    /// Forgets all that it kept. It must not run.
    pub fn wipe(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path().join("mnesia"));
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Runs `rabbitmqctl`; whether it succeeded.
    pub fn control(&self, arguments: &[&str]) -> bool {
        Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl")
            .args(["--node", &self.name])
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
        // Nothing that a test's node holds is worth the time of a clean stop.
        self.kill();
    }
}
