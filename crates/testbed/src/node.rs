//! One process of a cluster.

use anyhow::{Context, bail};
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use testbed::ManagedProcess;
use tokio::time::sleep;

const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than a drain takes.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(45);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Sandbox,
    Web,
    Worker,
}

/// A node; dropping it ends its process.
pub struct Node {
    binary: PathBuf,
    role: Role,
    /// Port on which it listens; a worker does not listen.
    pub port: u16,
    folder: PathBuf,
    env: Vec<(&'static str, String)>,
    /// Program that starts the binary, with its arguments; empty without one.
    pub wrapper: Vec<String>,
    child: Option<ManagedProcess>,
}

impl Node {
    pub fn new(
        binary: &Path,
        role: Role,
        port: u16,
        folder: PathBuf,
        env: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)?;
        let (binary, env) = (binary.to_owned(), env.to_vec());
        Ok(Self { binary, role, port, folder, env, wrapper: Vec::new(), child: None })
    }

    /// Starts the process and waits until it is ready; a worker has no endpoint to wait for.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        let subcommand = match self.role {
            Role::Sandbox => "sandbox",
            Role::Web => "serve",
            Role::Worker => "work",
        };
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        command
            .arg(subcommand)
            .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("MEANWHILE_DATA", &self.folder)
            .env("RUST_LOG", "info,sqlx=warn,sea_orm=warn,lapin=error")
            .envs(self.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log);
        let child = ManagedProcess::spawn(&mut command)
            .with_context(|| format!("can't start {}", self.binary.display()))?;
        let child = self.child.insert(child);
        let path = match self.role {
            Role::Sandbox => "healthz",
            Role::Web => "readyz",
            Role::Worker => return Ok(()),
        };
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        let start = Instant::now();
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = child.try_wait()? {
                bail!("`{subcommand}` ended at once, {status}: {}", self.log_tail(20));
            }
            if start.elapsed() > STARTUP_TIMEOUT {
                bail!(
                    "`{subcommand}` was not ready within {STARTUP_TIMEOUT:?}: {}",
                    self.log_tail(20)
                );
            }
            sleep(Duration::from_millis(20)).await;
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
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sends a signal by its name, such as `STOP`, to the process and its wrapper.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        anyhow::ensure!(child.signal(name), "could not send SIG{name}");
        Ok(())
    }

    /// Counts occurrences of `text` in its log.
    pub fn count_in_log(&self, text: &str) -> usize {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default().matches(text).count()
    }

    /// Returns the last lines of its log under the path of its folder.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let all: Vec<_> = log.lines().collect();
        let last = all[all.len().saturating_sub(lines)..].join("\n");
        format!("--- {}\n{last}\n", self.folder.display())
    }
}
