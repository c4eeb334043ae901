//! A PostgreSQL cluster in a folder of its own.

use super::{SmallDisk, Tethered, free_port, is_root};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Runs until it is dropped.
pub struct PostgresNode {
    child: Option<Tethered>,
    port: u16,
    folder: TempDir,
    /// Where its data lies, instead of in the folder.
    disk: Option<SmallDisk>,
    programs: PathBuf,
    databases: AtomicU32,
    /// Whether a commit waits for the disk.
    flushes: bool,
}

impl PostgresNode {
    /// Makes a cluster and waits until it answers. Its commits don't wait for
    /// the disk: the machine stays up, and what a process has written outlives
    /// its kill.
    pub fn start() -> Self {
        Self::start_with(false, None)
    }

    /// The same, with commits as an installation has them.
    pub fn start_durable() -> Self {
        Self::start_with(true, None)
    }

    /// As [`PostgresNode::start`], with its data on `disk`.
    pub fn start_on(disk: Option<SmallDisk>) -> Self {
        Self::start_with(false, disk)
    }

    fn start_with(flushes: bool, disk: Option<SmallDisk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Self {
            child: None,
            port: free_port(),
            folder,
            disk,
            programs: programs(),
            databases: AtomicU32::default(),
            flushes,
        };
        let data = node.data();
        fs::create_dir(&data).unwrap();
        let folder = data.parent().unwrap_or(&data).to_owned();
        if is_root() {
            // PostgreSQL refuses to run as root.
            for path in [&folder, &data] {
                let status = Command::new("chown").arg("postgres").arg(path).status();
                assert!(status.unwrap().success(), "the account postgres is missing");
            }
        }
        let made = node
            .program("initdb")
            .args(["--username=meanwhile", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--no-sync")
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        node.spawn();
        node
    }

    /// Starts it again, with what it kept.
    pub fn spawn(&mut self) {
        let mut server = self.program("postgres");
        server
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args(["-c", "max_connections=200", "-c", "log_min_messages=fatal"])
            .args(["-c", if self.flushes { "fsync=on" } else { "fsync=off" }])
            .args(["-c", "deadlock_timeout=100ms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if self.disk.is_some() {
            // Its log must not fill a small disk by itself.
            server.args(["-c", "max_wal_size=96MB"]);
        }
        self.child = Some(Tethered::spawn(&mut server).unwrap());
        let start = Instant::now();
        while !self.query("postgres", "SELECT 1") {
            assert!(start.elapsed() < Duration::from_secs(60), "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it still runs: without room for its log it ends by itself.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What it was started on.
    pub fn disk(&self) -> Option<&SmallDisk> {
        self.disk.as_ref()
    }

    /// Ends all its processes with `kill -9`; what it has committed stays.
    pub fn kill(&mut self) {
        let Some(child) = self.child.take() else { return };
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let pid = pid.lines().next().unwrap_or_default().to_owned();
        // Its workers end when they find their parent gone; those that still
        // hold memory would keep the next start waiting.
        let _ = Command::new("pkill").args(["-9", "-P", &pid]).status();
        let _ = Command::new("kill").args(["-9", &pid]).status();
        drop(child);
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new database; its URL.
    pub fn url(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::SeqCst);
        let name = format!("meanwhile_{number}");
        assert!(self.query("postgres", &format!("CREATE DATABASE {name}")), "no database");
        format!("postgres://meanwhile@127.0.0.1:{}/{name}", self.port)
    }

    fn query(&self, database: &str, sql: &str) -> bool {
        Command::new(self.programs.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "meanwhile"])
            .args(["-d", database, "-q", "-c", sql])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        let folder = self.disk.as_ref().map_or(self.folder.path(), SmallDisk::path);
        folder.join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        if !is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
        command
    }
}

impl Drop for PostgresNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Debian keeps the server's programs apart, by version.
fn programs() -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .collect();
    versions.sort();
    let found = versions.pop().or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    });
    found.expect("PostgreSQL is missing: run scripts/setup.sh test")
}
