//! One process of the product.

use crate::ManagedProcess;
use anyhow::{Context, bail, ensure};
use reqwest::Client;
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than a drain takes.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(45);
/// A short one, because the time of a restart is measured.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Timeout of one readiness probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    All,
    Sandbox,
    Web,
    Worker,
}

impl Role {
    /// Returns the subcommand, if there is one.
    fn subcommand(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Sandbox => Some("sandbox"),
            Self::Web => Some("serve"),
            Self::Worker => Some("work"),
        }
    }

    /// Returns the path of the endpoint that answers 200 once the process is ready; a
    /// worker has none.
    fn readiness_path(self) -> Option<&'static str> {
        match self {
            Self::All | Self::Web => Some("readyz"),
            Self::Sandbox => Some("healthz"),
            Self::Worker => None,
        }
    }
}

/// A node; dropping it ends its process.
pub struct Node {
    binary: PathBuf,
    role: Role,
    /// Port on which it listens; a worker does not listen.
    pub port: u16,
    /// Folder of its log, and of its data unless the environment names another one.
    folder: PathBuf,
    env: Vec<(&'static str, String)>,
    /// Program that starts the binary, with its arguments; empty without one.
    pub wrapper: Vec<String>,
    child: Option<ManagedProcess>,
}

/// Resident memory of a process, bytes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryUsage {
    pub current: u64,
    pub peak: u64,
}

impl Node {
    /// Prepares a node, which [`Node::spawn`] starts. `env` overrides the variables
    /// that the node sets itself.
    ///
    /// # Errors
    /// The folder can't be created.
    pub fn new(
        binary: &Path,
        role: Role,
        port: u16,
        folder: PathBuf,
        env: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)?;
        let (binary, env) = (std::path::absolute(binary)?, env.to_vec());
        Ok(Self { binary, role, port, folder, env, wrapper: Vec::new(), child: None })
    }

    /// Sets an environment variable from the next start on.
    pub fn set_env(&mut self, name: &'static str, value: impl Into<String>) {
        self.env.retain(|(other, _)| *other != name);
        self.env.push((name, value.into()));
    }

    /// Starts the process and waits until it is ready; a worker has no endpoint to wait for.
    ///
    /// # Errors
    /// The process can't be started, ends at once or is not ready in time. The error has
    /// the end of its log.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        command
            .args(self.role.subcommand())
            .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("MEANWHILE_DATA", &self.folder)
            .env("RUST_LOG", "info,sqlx=warn,sea_orm=warn,lapin=error")
            .envs(self.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log);
        let child = ManagedProcess::spawn(&mut command)
            .with_context(|| format!("can't start {}", self.binary.display()))?;
        self.child = Some(child);
        match self.role.readiness_path() {
            Some(path) => self.wait_until_ready(path).await,
            None => Ok(()),
        }
    }

    async fn wait_until_ready(&mut self, path: &str) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        tls::install_provider();
        let client = Client::builder().timeout(PROBE_TIMEOUT).build()?;
        let start = Instant::now();
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            let child = self.child.as_mut().context("it does not run")?;
            if let Some(status) = child.try_wait()? {
                bail!("{:?} ended at once, {status}: {}", self.role, self.log_tail(20));
            }
            if start.elapsed() > STARTUP_TIMEOUT {
                let tail = self.log_tail(20);
                bail!("{:?} was not ready within {STARTUP_TIMEOUT:?}: {tail}", self.role);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns the id of the process while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(ManagedProcess::id)
    }

    /// Returns the id of the process that runs the binary, with which a worker's
    /// name ends: the child of the wrapper, where there is one.
    pub fn server_pid(&self) -> Option<u32> {
        let pid = self.pid()?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let mut children = children.ok()?.split_whitespace().map(str::parse).collect::<Vec<_>>();
        match (self.wrapper.is_empty(), children.pop()) {
            (false, Some(child)) => child.ok(),
            _ => Some(pid),
        }
    }

    /// Kills the process with `kill -9`.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// Sends SIGTERM and waits until the process has drained and ended.
    ///
    /// # Errors
    /// The process does not run, or does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > SHUTDOWN_TIMEOUT {
                bail!(
                    "it did not end within {SHUTDOWN_TIMEOUT:?} of SIGTERM: {}",
                    self.log_tail(20)
                );
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Sends a signal by its name, such as `STOP`, to the process and its wrapper.
    ///
    /// # Errors
    /// The process does not run.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        ensure!(child.signal(name), "could not send SIG{name}");
        Ok(())
    }

    /// Returns what it has logged so far.
    pub fn read_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Counts occurrences of `text` in its log.
    pub fn count_in_log(&self, text: &str) -> usize {
        self.read_log().matches(text).count()
    }

    /// Returns the last lines of its log under the path of its folder.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.read_log();
        let all: Vec<_> = log.lines().collect();
        let last = all[all.len().saturating_sub(lines)..].join("\n");
        format!("--- {}\n{last}\n", self.folder.display())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Reads its memory usage from the kernel.
    ///
    /// # Errors
    /// The process does not run.
    pub fn memory_usage(&self) -> anyhow::Result<MemoryUsage> {
        let pid = self.pid().context("it does not run")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
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
    /// The process does not run.
    pub fn count_open_files(&self) -> anyhow::Result<usize> {
        let pid = self.pid().context("it does not run")?;
        Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
    }
}
