//! A PostgreSQL cluster in its own folder.

use super::{
    ManagedProcess, ServerCertificate, SmallDisk,
    certificates::{certificate_path, key_path},
    free_port, is_root,
};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A PostgreSQL server that runs until it is dropped.
pub struct PostgresNode {
    child: Option<ManagedProcess>,
    port: u16,
    folder: TempDir,
    /// Disk of its data, instead of the folder.
    data_disk: Option<SmallDisk>,
    bin_dir: PathBuf,
    database_count: AtomicU32,
    /// Whether a commit waits for the disk.
    is_durable: bool,
    /// Whether it accepts connections over TLS only.
    has_tls: bool,
}

impl PostgresNode {
    /// Creates a cluster and waits until it accepts queries. Its commits don't
    /// wait for the disk: the machine stays up, and what a process has written
    /// outlives its kill.
    pub fn start() -> Self {
        Self::start_with(false, None, None)
    }

    /// Creates a cluster whose commits wait for the disk, as in an installation.
    pub fn start_durable() -> Self {
        Self::start_with(true, None, None)
    }

    /// Creates a cluster like [`PostgresNode::start`], with its data on `disk`.
    pub fn start_on_disk(disk: Option<SmallDisk>) -> Self {
        Self::start_with(false, disk, None)
    }

    /// Creates a cluster like [`PostgresNode::start`] that accepts connections over TLS only.
    pub fn start_with_tls(certificate: &ServerCertificate) -> Self {
        Self::start_with(false, None, Some(certificate))
    }

    fn start_with(
        is_durable: bool,
        data_disk: Option<SmallDisk>,
        certificate: Option<&ServerCertificate>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Self {
            child: None,
            port: free_port(),
            folder,
            data_disk,
            bin_dir: find_bin_dir(),
            database_count: AtomicU32::default(),
            is_durable,
            has_tls: certificate.is_some(),
        };
        let data = node.data_dir();
        fs::create_dir(&data).unwrap();
        let folder = data.parent().unwrap_or(&data).to_owned();
        if is_root() {
            // PostgreSQL refuses to run as root.
            for path in [&folder, &data] {
                let status = Command::new("chown").arg("postgres").arg(path).status();
                assert!(status.unwrap().success(), "the account postgres is missing");
            }
        }
        let status = node
            .command("initdb")
            .args(["--username=meanwhile", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--no-sync")
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "initdb failed");
        if let Some(certificate) = certificate {
            let rules = "hostssl all all 127.0.0.1/32 trust\n";
            fs::write(data.join("pg_hba.conf"), rules).unwrap();
            node.write_certificate(certificate);
        }
        node.spawn();
        node
    }

    /// Restarts the server with another certificate.
    pub fn set_certificate(&mut self, certificate: &ServerCertificate) {
        self.write_certificate(certificate);
        self.kill();
        self.spawn();
    }

    fn write_certificate(&self, certificate: &ServerCertificate) {
        certificate.write_to(self.folder.path(), is_root().then_some("postgres"));
    }

    /// Starts the server with its data, and waits until it accepts queries.
    pub fn spawn(&mut self) {
        let mut server = self.command("postgres");
        server
            .arg("-D")
            .arg(self.data_dir())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args(["-c", "max_connections=200", "-c", "log_min_messages=fatal"])
            .args(["-c", if self.is_durable { "fsync=on" } else { "fsync=off" }])
            .args(["-c", "deadlock_timeout=100ms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if self.has_tls {
            let folder = self.folder.path();
            server
                .args(["-c", "ssl=on"])
                .args(["-c", &format!("ssl_cert_file={}", certificate_path(folder).display())])
                .args(["-c", &format!("ssl_key_file={}", key_path(folder).display())]);
        }
        if self.data_disk.is_some() {
            // Its log must not fill a small disk by itself.
            server.args(["-c", "max_wal_size=96MB"]);
        }
        self.child = Some(ManagedProcess::spawn(&mut server).unwrap());
        let start = Instant::now();
        while !self.run_sql("postgres", "SELECT 1") {
            assert!(start.elapsed() < Duration::from_secs(60), "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether the server still runs: it exits when the disk has no room for its log.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Returns the disk that it was started on.
    pub fn data_disk(&self) -> Option<&SmallDisk> {
        self.data_disk.as_ref()
    }

    /// Kills all its processes with `kill -9`; committed data is preserved.
    pub fn kill(&mut self) {
        let Some(child) = self.child.take() else { return };
        let pid = fs::read_to_string(self.data_dir().join("postmaster.pid")).unwrap_or_default();
        let pid = pid.lines().next().unwrap_or_default().to_owned();
        // Its workers end when they notice that their parent has exited; those
        // that still use shared memory would delay the next start.
        let _ = Command::new("pkill").args(["-9", "-P", &pid]).status();
        let _ = Command::new("kill").args(["-9", &pid]).status();
        drop(child);
        let _ = fs::remove_file(self.data_dir().join("postmaster.pid"));
    }

    /// Returns the port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates a database and returns its URL, with `sslmode=verify-full` if the server has
    /// TLS.
    pub fn create_database(&self) -> String {
        let number = self.database_count.fetch_add(1, Ordering::SeqCst);
        let name = format!("meanwhile_{number}");
        assert!(self.run_sql("postgres", &format!("CREATE DATABASE {name}")), "no database");
        let parameters = if self.has_tls { "?sslmode=verify-full" } else { "" };
        format!("postgres://meanwhile@127.0.0.1:{}/{name}{parameters}", self.port)
    }

    /// Runs a statement and returns whether it succeeded.
    fn run_sql(&self, database: &str, sql: &str) -> bool {
        Command::new(self.bin_dir.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "meanwhile"])
            .args(["-d", database, "-q", "-c", sql])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn data_dir(&self) -> PathBuf {
        let folder = self.data_disk.as_ref().map_or(self.folder.path(), SmallDisk::path);
        folder.join("data")
    }

    /// Returns a command for a program of PostgreSQL, which must not run as root.
    fn command(&self, name: &str) -> Command {
        let path = self.bin_dir.join(name);
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

/// Returns the folder of PostgreSQL's programs: Debian has one for each version, of which this is
/// the last; elsewhere it is in `PATH`.
fn find_bin_dir() -> PathBuf {
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
