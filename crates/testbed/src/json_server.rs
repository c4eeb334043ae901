//! json-server: a JSON service that stores what it receives.

use super::{ManagedProcess, free_port, npm};
use std::{
    fs,
    net::TcpStream,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Time within which Node starts on a busy machine.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// A json-server with an empty collection `products`; dropping it ends the process.
pub struct JsonServer {
    _process: ManagedProcess,
    port: u16,
    _folder: TempDir,
}

impl JsonServer {
    /// Starts a server and waits until it accepts connections.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.json");
        fs::write(&file, r#"{"products": []}"#).unwrap();
        let port = free_port();
        let mut command = npm::node_command("json-server");
        command
            .arg(npm::program("json-server", "json-server"))
            .args(["--host", "127.0.0.1", "--quiet", "--port", &port.to_string()])
            .arg(file)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            // Node would leave the output of the tests non-blocking when it is killed.
            .stderr(Stdio::null());
        let process = ManagedProcess::spawn(&mut command);
        let process = process.expect("Node is missing: run scripts/setup.sh test");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < STARTUP_TIMEOUT, "json-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { _process: process, port, _folder: folder }
    }

    /// Returns the URL of its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
