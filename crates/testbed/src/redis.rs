//! A Redis server without persistence.

use super::{
    ManagedProcess, ServerCertificate,
    certificates::{certificate_path, key_path},
    free_port,
};
use std::{
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A Redis server that runs until it is dropped.
pub struct RedisNode {
    child: Option<ManagedProcess>,
    port: u16,
    folder: TempDir,
    /// Whether it accepts connections over TLS only.
    has_tls: bool,
}

impl RedisNode {
    /// Starts a server and waits until it accepts connections.
    pub fn start() -> Self {
        let mut node = Self::new(false);
        node.spawn();
        node
    }

    /// Starts a server that accepts connections over TLS only.
    pub fn start_with_tls(certificate: &ServerCertificate) -> Self {
        let mut node = Self::new(true);
        node.set_certificate(certificate);
        node
    }

    fn new(has_tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { child: None, port: free_port(), folder, has_tls }
    }

    /// Restarts the server, without data, with another certificate.
    pub fn set_certificate(&mut self, certificate: &ServerCertificate) {
        certificate.write_to(self.folder.path(), None);
        self.kill();
        self.spawn();
    }

    /// Starts the server without data, and waits until it accepts connections.
    pub fn spawn(&mut self) {
        let mut server = Command::new("redis-server");
        server
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let port = self.port.to_string();
        if self.has_tls {
            server
                .args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"])
                .arg("--tls-cert-file")
                .arg(certificate_path(self.folder.path()))
                .arg("--tls-key-file")
                .arg(key_path(self.folder.path()));
        } else {
            server.args(["--port", &port]);
        }
        let child = ManagedProcess::spawn(&mut server);
        self.child = Some(child.expect("Redis is missing: run scripts/setup.sh test"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "Redis did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server with `kill -9`; all its data is lost.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// Runs `redis-cli` with a command such as `FLUSHALL` and returns whether it succeeded.
    pub fn redis_cli(&self, arguments: &[&str]) -> bool {
        Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Returns the port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}/0", self.port)
    }
}
