//! A RabbitMQ node on its own ports and in its own folder.

use super::{
    ManagedProcess, ServerCertificate,
    certificates::{certificate_path, key_path},
    free_port,
};
use lapin::{Connection, ConnectionProperties, options::QueueDeleteOptions};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A RabbitMQ node that runs until it is dropped.
pub struct RabbitNode {
    child: Option<ManagedProcess>,
    port: u16,
    distribution_port: u16,
    name: String,
    folder: TempDir,
    /// Whether it accepts connections over TLS only.
    has_tls: bool,
}

impl RabbitNode {
    /// Starts a node and waits until it has started.
    pub fn start() -> Self {
        let mut node = Self::new(false);
        node.spawn();
        node
    }

    /// Starts a node that accepts connections over TLS only.
    pub fn start_with_tls(certificate: &ServerCertificate) -> Self {
        let mut node = Self::new(true);
        certificate.write_to(node.folder.path(), None);
        node.spawn();
        node
    }

    /// Replaces the certificate, for connections from now on.
    pub fn set_certificate(&self, certificate: &ServerCertificate) {
        certificate.write_to(self.folder.path(), None);
        // The node remembers the content of the files for some minutes.
        assert!(self.rabbitmqctl(&["eval", "ssl:clear_pem_cache()."]), "rabbitmqctl failed");
    }

    fn new(has_tls: bool) -> Self {
        assert!(Path::new(SERVER).exists(), "RabbitMQ is missing: run scripts/setup.sh test");
        let folder = tempfile::tempdir().unwrap();
        let (port, distribution_port) = (free_port(), free_port());
        std::fs::write(folder.path().join("plugins"), "[].\n").unwrap();
        let config = match has_tls {
            true => format!(
                "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\n\
                 ssl_options.certfile = {}\nssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
                certificate_path(folder.path()).display(),
                key_path(folder.path()).display()
            ),
            false => format!("listeners.tcp.1 = 127.0.0.1:{port}\n"),
        };
        std::fs::write(folder.path().join("rabbitmq.conf"), config).unwrap();
        let name = format!("meanwhile-{port}@localhost");
        Self { child: None, port, distribution_port, name, folder, has_tls }
    }

    /// Starts the node with its data, and waits until it has started.
    pub fn spawn(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let mut server = Command::new(SERVER);
        server
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("HOME", self.folder.path())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !self.has_tls {
            server.env("RABBITMQ_NODE_PORT", self.port.to_string());
        }
        self.child = Some(ManagedProcess::spawn(&mut server).unwrap());
        let start = Instant::now();
        while !self.rabbitmqctl(&["await_startup", "--timeout", "5"]) {
            assert!(start.elapsed() < Duration::from_secs(120), "RabbitMQ did not start");
        }
    }

    /// Kills the node with `kill -9`; written data is preserved.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        if !pid.trim().is_empty() {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
        self.child = None;
    }

    /// Deletes its data. The node must not run.
    pub fn delete_data(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path().join("mnesia"));
    }

    /// Returns the AMQP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the AMQP URL.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "amqps" } else { "amqp" };
        format!("{scheme}://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Deletes a queue with its messages and consumers, at once: `rabbitmqctl` takes seconds to
    /// start on a busy machine.
    ///
    /// # Errors
    /// The node can't be reached.
    pub async fn delete_queue(&self, name: &str) -> lapin::Result<()> {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
        connection.close(200, "done".into()).await
    }

    /// Runs `rabbitmqctl` and returns whether it succeeded.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> bool {
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
        // The data of a test's node is not worth the time of a clean stop.
        self.kill();
    }
}
