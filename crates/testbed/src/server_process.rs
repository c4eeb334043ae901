//! The binary as a child process.

use crate::api::{ADMIN_EMAIL, ApiClient, PASSWORD};
use anyhow::{Context, bail};
use std::{
    fs::{self, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use testbed::ManagedProcess;
use tokio::time::sleep;

const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than a drain takes.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(45);

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
}

/// A Meanwhile process with its own folder and ports; dropping it ends the process.
pub struct ServerProcess {
    binary: PathBuf,
    sandbox_config: SandboxConfig,
    /// Additional environment variables.
    env: Vec<(&'static str, String)>,
    /// Program that replaces itself with the server, with its arguments; empty without one.
    wrapper: Vec<String>,
    folder: TempDir,
    child: Option<ManagedProcess>,
    pub api: ApiClient,
}

/// Resident memory of a process, bytes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryUsage {
    pub current: u64,
    pub peak: u64,
}

impl ServerProcess {
    /// Starts the server and signs in.
    pub async fn start(binary: &Path, sandbox_config: SandboxConfig) -> anyhow::Result<Self> {
        Self::start_with(binary, sandbox_config, &[], &[]).await
    }

    /// Starts the server with additional environment variables and through
    /// `wrapper`, a program that replaces itself with the server, and signs in.
    pub async fn start_with(
        binary: &Path,
        sandbox_config: SandboxConfig,
        env: &[(&'static str, String)],
        wrapper: &[String],
    ) -> anyhow::Result<Self> {
        let binary = std::path::absolute(binary)?;
        let folder = tempfile::tempdir().context("can't make a data folder")?;
        let api = ApiClient::new(free_port()?, free_port()?);
        let (env, wrapper) = (env.to_vec(), wrapper.to_vec());
        let mut server = Self { binary, sandbox_config, env, wrapper, folder, child: None, api };
        server.spawn().await?;
        server.api.sign_in().await?;
        Ok(server)
    }

    /// Returns its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the process, and returns when it is ready.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        command
            .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", self.api.port))
            .env("MEANWHILE_DATA", self.folder.path())
            .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", self.api.sandbox_port))
            .env("MEANWHILE_SANDBOX_SPEED", self.sandbox_config.speed.to_string())
            .env("MEANWHILE_SANDBOX_SEED", self.sandbox_config.seed.to_string())
            .env("MEANWHILE_SANDBOX_FAULTS", self.sandbox_config.faults.to_string())
            .env("MEANWHILE_ADMIN_EMAIL", ADMIN_EMAIL)
            .env("MEANWHILE_ADMIN_PASSWORD", PASSWORD)
            .env("RUST_LOG", "error")
            .envs(self.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log);
        let child = ManagedProcess::spawn(&mut command)
            .with_context(|| format!("can't start {}", self.binary.display()))?;
        let child = self.child.insert(child);
        let start = Instant::now();
        while !self.api.is_ready().await {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended at once: {status}");
            }
            if start.elapsed() > STARTUP_TIMEOUT {
                bail!("the server was not ready within {STARTUP_TIMEOUT:?}");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Kills the server with `kill -9`.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// Sends SIGTERM, and waits until the server has drained and ended.
    ///
    /// # Errors
    /// The server does not run, or does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let child = self.child.as_mut().context("the server does not run")?;
        anyhow::ensure!(child.signal("TERM"), "could not send SIGTERM");
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            anyhow::ensure!(
                start.elapsed() < SHUTDOWN_TIMEOUT,
                "it did not end within {SHUTDOWN_TIMEOUT:?} of SIGTERM"
            );
            sleep(Duration::from_millis(20)).await;
        }
        self.child = None;
        Ok(())
    }

    /// Returns its process id.
    ///
    /// # Errors
    /// The server does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.child.as_ref().context("the server does not run")?.id())
    }

    /// Counts occurrences of `text` in its log.
    pub fn count_in_log(&self, text: &str) -> usize {
        fs::read_to_string(self.log_path()).unwrap_or_default().matches(text).count()
    }

    /// Returns the path of its log, which has its errors.
    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Counts the panics that the process has logged.
    pub fn count_panics(&self) -> anyhow::Result<usize> {
        Ok(fs::read_to_string(self.log_path())?.matches("panicked at").count())
    }

    /// Reads its memory usage from the kernel.
    pub fn memory_usage(&self) -> anyhow::Result<MemoryUsage> {
        let child = self.child.as_ref().context("the server does not run")?;
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let bytes = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(kib.with_context(|| format!("no {name}"))?.parse::<u64>()? * 1024)
        };
        Ok(MemoryUsage { current: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }

    /// Counts its open files and connections.
    ///
    /// # Errors
    /// The server does not run.
    pub fn count_open_files(&self) -> anyhow::Result<usize> {
        let child = self.child.as_ref().context("the server does not run")?;
        Ok(fs::read_dir(format!("/proc/{}/fd", child.id()))?.count())
    }

    /// Returns the CPU time that its threads have used so far.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let child = self.child.as_ref().context("the server does not run")?;
        crate::cpu::process_cpu_time(child.id())
    }

    /// Sets the sandbox's speed from the next start on.
    pub fn set_sandbox_speed(&mut self, speed: f64) {
        self.sandbox_config.speed = speed;
    }

    /// Returns the size of the database with its log, bytes.
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
        eprint!("{}", fs::read_to_string(self.log_path()).unwrap_or_default());
    }
}

pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
