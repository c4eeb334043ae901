//! The product in one process, with its sandbox and embedded queues.

use crate::{
    MemoryUsage, Node, Role,
    api::{ADMIN_EMAIL, ApiClient, PASSWORD},
    free_port,
};
use anyhow::Context;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};
use tempfile::TempDir;

/// Configuration of the sandbox.
#[derive(Clone, Copy, Debug)]
pub struct SandboxConfig {
    pub speed: f64,
    pub seed: u64,
    /// Whether the sandbox injects faults.
    pub faults: bool,
}

impl SandboxConfig {
    /// Returns a configuration without faults.
    pub fn without_faults(speed: f64) -> Self {
        Self { speed, seed: 1, faults: false }
    }

    /// Returns the environment variables of the sandbox.
    pub(crate) fn env(self) -> Vec<(&'static str, String)> {
        vec![
            (SANDBOX_SPEED, self.speed.to_string()),
            ("MEANWHILE_SANDBOX_SEED", self.seed.to_string()),
            ("MEANWHILE_SANDBOX_FAULTS", self.faults.to_string()),
        ]
    }
}

const SANDBOX_SPEED: &str = "MEANWHILE_SANDBOX_SPEED";

/// A Meanwhile process with its own folder and ports; dropping it ends the process.
pub struct ServerProcess {
    node: Node,
    folder: TempDir,
    pub api: ApiClient,
}

impl ServerProcess {
    /// Prepares a server, which [`ServerProcess::spawn`] starts.
    ///
    /// # Errors
    /// Its folder can't be created.
    pub fn new(binary: &Path, sandbox_config: SandboxConfig) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("can't make a data folder")?;
        let api = ApiClient::new(free_port(), free_port());
        let mut env = sandbox_config.env();
        let listen = format!("127.0.0.1:{}", api.sandbox_port);
        env.extend([("MEANWHILE_SANDBOX_LISTEN", listen), ("RUST_LOG", "error".into())]);
        let node = Node::new(binary, Role::All, api.port, folder.path().to_owned(), &env)?;
        Ok(Self { node, folder, api })
    }

    /// Configures the first account, that of [`ADMIN_EMAIL`].
    #[must_use]
    pub fn with_admin(mut self) -> Self {
        self.set_env("MEANWHILE_ADMIN_EMAIL", ADMIN_EMAIL);
        self.set_env("MEANWHILE_ADMIN_PASSWORD", PASSWORD);
        self
    }

    /// Starts the server and signs in.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn start(binary: &Path, sandbox_config: SandboxConfig) -> anyhow::Result<Self> {
        Self::start_with(binary, sandbox_config, &[], &[]).await
    }

    /// Starts the server with additional environment variables and through
    /// `wrapper`, a program that replaces itself with the server, and signs in.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn start_with(
        binary: &Path,
        sandbox_config: SandboxConfig,
        env: &[(&'static str, String)],
        wrapper: &[String],
    ) -> anyhow::Result<Self> {
        let mut server = Self::new(binary, sandbox_config)?.with_admin();
        for (name, value) in env {
            server.set_env(name, value);
        }
        server.node.wrapper = wrapper.to_vec();
        server.spawn().await?;
        server.api.sign_in().await?;
        Ok(server)
    }

    /// Sets an environment variable from the next start on.
    pub fn set_env(&mut self, name: &'static str, value: impl Into<String>) {
        self.node.set_env(name, value);
    }

    /// Sets the sandbox's speed from the next start on.
    pub fn set_sandbox_speed(&mut self, speed: f64) {
        self.set_env(SANDBOX_SPEED, speed.to_string());
    }

    /// Returns its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the process, and returns when it is ready.
    ///
    /// # Errors
    /// The process can't be started, ends at once or is not ready in time.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        self.node.spawn().await
    }

    /// Kills the server with `kill -9`.
    pub fn kill(&mut self) {
        self.node.kill();
    }

    /// Sends SIGTERM, and waits until the server has drained and ended.
    ///
    /// # Errors
    /// The server does not run, or does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.node.stop().await
    }

    /// Returns its process id.
    ///
    /// # Errors
    /// The server does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.node.pid().context("the server does not run")
    }

    /// Returns what the server has logged so far.
    pub fn read_log(&self) -> String {
        self.node.read_log()
    }

    /// Counts occurrences of `text` in its log.
    pub fn count_in_log(&self, text: &str) -> usize {
        self.node.count_in_log(text)
    }

    /// Counts the panics that the process has logged.
    pub fn count_panics(&self) -> usize {
        self.count_in_log("panicked at")
    }

    /// Reads its memory usage from the kernel.
    ///
    /// # Errors
    /// The server does not run.
    pub fn memory_usage(&self) -> anyhow::Result<MemoryUsage> {
        self.node.memory_usage()
    }

    /// Counts its open files and connections.
    ///
    /// # Errors
    /// The server does not run.
    pub fn count_open_files(&self) -> anyhow::Result<usize> {
        self.node.count_open_files()
    }

    /// Returns the size of the database with its log, bytes.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn database_size(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.folder.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("meanwhile.sqlite") {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        // `eprint!` panics when the terminal or the pipe can't take more.
        let _ = io::stderr().write_all(self.read_log().as_bytes());
    }
}
