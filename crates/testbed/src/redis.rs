//! A Redis server without persistence.

use super::{ManagedProcess, free_port};
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
}

impl RedisNode {
    /// Starts a server and waits until it accepts connections.
    pub fn start() -> Self {
        let mut node =
            Self { child: None, port: free_port(), folder: tempfile::tempdir().unwrap() };
        node.spawn();
        node
    }

    /// Starts the server without data, and waits until it accepts connections.
    pub fn spawn(&mut self) {
        let mut server = Command::new("redis-server");
        server
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.port.to_string()])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
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
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}
