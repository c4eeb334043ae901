//! The binary as a child process.

use crate::api::{Api, PASSWORD, WHO};
use anyhow::{Context, bail};
use servers::Tethered;
use std::{
    fs::{self, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::sleep;

const START: Duration = Duration::from_secs(60);
/// More than a drain takes.
const STOP: Duration = Duration::from_secs(45);

/// How the sandbox behaves.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    pub speed: f64,
    pub seed: u64,
    /// Whether things go wrong now and then.
    pub faults: bool,
}

impl Outside {
    /// Nothing goes wrong.
    pub fn calm(speed: f64) -> Self {
        Self { speed, seed: 1, faults: false }
    }
}

/// Meanwhile with a folder and ports of its own; ends with this value.
pub struct Meanwhile {
    binary: PathBuf,
    outside: Outside,
    /// Further variables of its environment.
    variables: Vec<(&'static str, String)>,
    /// A program that becomes the server, with its arguments; empty without.
    through: Vec<String>,
    folder: TempDir,
    child: Option<Tethered>,
    pub api: Api,
}

/// Of a process, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub now: u64,
    pub peak: u64,
}

impl Meanwhile {
    /// Starts it and signs in.
    pub async fn start(binary: &Path, outside: Outside) -> anyhow::Result<Self> {
        Self::start_with(binary, outside, &[], &[]).await
    }

    /// Starts it with further variables of its environment, and through a
    /// program that becomes the server, and signs in.
    pub async fn start_with(
        binary: &Path,
        outside: Outside,
        variables: &[(&'static str, String)],
        through: &[String],
    ) -> anyhow::Result<Self> {
        let binary = std::path::absolute(binary)?;
        let folder = tempfile::tempdir().context("can't make a data folder")?;
        let api = Api::new(free_port()?, free_port()?);
        let (variables, through) = (variables.to_vec(), through.to_vec());
        let mut meanwhile = Self { binary, outside, variables, through, folder, child: None, api };
        meanwhile.spawn().await?;
        meanwhile.api.sign_in().await?;
        Ok(meanwhile)
    }

    /// Where its data lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the process, and returns when it is ready.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = match self.through.split_first() {
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
            .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", self.api.sandbox))
            .env("MEANWHILE_SANDBOX_SPEED", self.outside.speed.to_string())
            .env("MEANWHILE_SANDBOX_SEED", self.outside.seed.to_string())
            .env("MEANWHILE_SANDBOX_FAULTS", self.outside.faults.to_string())
            .env("MEANWHILE_ADMIN_EMAIL", WHO)
            .env("MEANWHILE_ADMIN_PASSWORD", PASSWORD)
            .env("RUST_LOG", "error")
            .envs(self.variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log);
        let child = Tethered::spawn(&mut command)
            .with_context(|| format!("can't start {}", self.binary.display()))?;
        let child = self.child.insert(child);
        let start = Instant::now();
        while !self.api.ready().await {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended at once: {status}");
            }
            if start.elapsed() > START {
                bail!("the server was not ready within {START:?}");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// `kill -9`.
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
            anyhow::ensure!(start.elapsed() < STOP, "it did not end within {STOP:?} of SIGTERM");
            sleep(Duration::from_millis(20)).await;
        }
        self.child = None;
        Ok(())
    }

    /// Its process id.
    ///
    /// # Errors
    /// The server does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.child.as_ref().context("the server does not run")?.id())
    }

    /// How often its log says these words.
    pub fn logged(&self, words: &str) -> usize {
        fs::read_to_string(self.log()).unwrap_or_default().matches(words).count()
    }

    /// Where its errors are written.
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Number of panics that the process has logged.
    pub fn panics(&self) -> anyhow::Result<usize> {
        Ok(fs::read_to_string(self.log())?.matches("panicked at").count())
    }

    /// As the kernel tells it.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let child = self.child.as_ref().context("the server does not run")?;
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let bytes = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(kib.with_context(|| format!("no {name}"))?.parse::<u64>()? * 1024)
        };
        Ok(Memory { now: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }

    /// Number of files and connections that it has open.
    ///
    /// # Errors
    /// The server does not run.
    pub fn open_files(&self) -> anyhow::Result<usize> {
        let child = self.child.as_ref().context("the server does not run")?;
        Ok(fs::read_dir(format!("/proc/{}/fd", child.id()))?.count())
    }

    /// Time that its threads have used of the processors so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let child = self.child.as_ref().context("the server does not run")?;
        crate::cpu::of_process(child.id())
    }

    /// The sandbox's speed from the next start on.
    pub fn set_speed(&mut self, speed: f64) {
        self.outside.speed = speed;
    }

    /// Of the database with its log, bytes.
    pub fn stored(&self) -> anyhow::Result<u64> {
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

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.kill();
        eprint!("{}", fs::read_to_string(self.log()).unwrap_or_default());
    }
}

pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
