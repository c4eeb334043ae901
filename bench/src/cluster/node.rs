//! One process of several.

use anyhow::{Context, bail};
use servers::Tethered;
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

const START: Duration = Duration::from_secs(60);
/// More than a drain takes.
const STOP: Duration = Duration::from_secs(45);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Sandbox,
    Web,
    Worker,
}

/// Ends with this value.
pub struct Node {
    binary: PathBuf,
    role: Role,
    /// Where it listens; a worker does not.
    pub port: u16,
    folder: PathBuf,
    env: Vec<(&'static str, String)>,
    /// A program that starts it, with its arguments.
    pub through: Vec<String>,
    child: Option<Tethered>,
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
        Ok(Self { binary, role, port, folder, env, through: Vec::new(), child: None })
    }

    /// Starts the process; returns when it answers, where it answers anyone.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        let word = match self.role {
            Role::Sandbox => "sandbox",
            Role::Web => "serve",
            Role::Worker => "work",
        };
        let mut command = match self.through.split_first() {
            None => Command::new(&self.binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        command
            .arg(word)
            .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("MEANWHILE_DATA", &self.folder)
            .env("RUST_LOG", "info,sqlx=warn,sea_orm=warn,lapin=error")
            .envs(self.env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log);
        let child = Tethered::spawn(&mut command)
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
                bail!("`{word}` ended at once, {status}: {}", self.log(20));
            }
            if start.elapsed() > START {
                bail!("`{word}` was not ready within {START:?}: {}", self.log(20));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Of the process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Tethered::id)
    }

    /// Of what runs the binary, which ends the name of a worker: where a
    /// program starts it, that is the program's own child.
    pub fn runs(&self) -> Option<u32> {
        let pid = self.pid()?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let mut children = children.ok()?.split_whitespace().map(str::parse).collect::<Vec<_>>();
        match (self.through.is_empty(), children.pop()) {
            (false, Some(child)) => child.ok(),
            _ => Some(pid),
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// SIGTERM, and waits until it has drained.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > STOP {
                bail!("it did not end within {STOP:?} of SIGTERM: {}", self.log(20));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sends a signal by its name, such as `STOP`; to what started it, too.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        anyhow::ensure!(child.signal(name), "could not send SIG{name}");
        Ok(())
    }

    /// How often its log says these words.
    pub fn told(&self, words: &str) -> usize {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default().matches(words).count()
    }

    /// The last lines of its log, under its name.
    pub fn log(&self, lines: usize) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let all: Vec<_> = log.lines().collect();
        let last = all[all.len().saturating_sub(lines)..].join("\n");
        format!("--- {}\n{last}\n", self.folder.display())
    }
}
