//! A disk for the embedded database that can be filled and emptied: a small
//! file system in memory, or without root a limit on the size of the server's
//! files, which fails its writes in the same places with another error.

use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use testbed::{SandboxConfig, ServerProcess, SmallDisk};

/// Size of the file system, MiB. It is in memory, and is filled repeatedly.
const SIZE_MIB: usize = 96;

/// Storage of the database.
pub enum BoundedDisk {
    Tmpfs(SmallDisk),
    SizeLimit(TempDir),
}

impl BoundedDisk {
    /// # Errors
    /// The folder for temporary files can't be created.
    pub fn new() -> anyhow::Result<Self> {
        match SmallDisk::mount_with_size(SIZE_MIB) {
            Some(disk) => Ok(Self::Tmpfs(disk)),
            None => Ok(Self::SizeLimit(tempfile::tempdir()?)),
        }
    }

    /// Describes how the disk is bounded.
    pub fn description(&self) -> String {
        match self {
            Self::Tmpfs(_) => format!("a file system of {SIZE_MIB} MiB in memory"),
            Self::SizeLimit(_) => "a limit on the size of files, as only root can mount one".into(),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Tmpfs(disk) => disk.path(),
            Self::SizeLimit(folder) => folder.path(),
        }
    }

    fn database_path(&self) -> PathBuf {
        self.folder().join("meanwhile.sqlite")
    }

    /// Starts a server that has only its database on this disk.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn start_server(
        &self,
        binary: &Path,
        sandbox_config: SandboxConfig,
        env: &[(&'static str, String)],
    ) -> anyhow::Result<ServerProcess> {
        let database = format!("sqlite://{}", self.database_path().display());
        let mut env = env.to_vec();
        env.push(("MEANWHILE_DATABASE", database));
        // SIGXFSZ ends a process that exceeds the limit, unless the signal is ignored.
        let wrapper: &[&str] = match self {
            Self::Tmpfs(_) => &[],
            Self::SizeLimit(_) => &["sh", "-c", r#"trap "" XFSZ; exec "$0""#],
        };
        let wrapper: Vec<_> = wrapper.iter().map(|&word| word.to_owned()).collect();
        ServerProcess::start_with(binary, sandbox_config, &env, &wrapper).await
    }

    /// Leaves room for `pages` more pages of 4 KiB.
    ///
    /// # Errors
    /// The server does not run, or `prlimit` is missing.
    pub fn fill_except(&self, server: &ServerProcess, pages: u64) -> anyhow::Result<()> {
        match self {
            Self::Tmpfs(disk) => disk.fill_except(pages * 4096),
            Self::SizeLimit(_) => {
                let log = self.database_path().with_extension("sqlite-wal");
                let size = fs::metadata(log).map_or(0, |log| log.len());
                set_file_size_limit(server, &(size + pages * 4096).to_string())?;
            }
        }
        Ok(())
    }

    /// Frees the space again.
    ///
    /// # Errors
    /// The same as of [`Self::fill_except`].
    pub fn free(&self, server: &ServerProcess) -> anyhow::Result<()> {
        match self {
            Self::Tmpfs(disk) => disk.remove_filler(),
            Self::SizeLimit(_) => set_file_size_limit(server, "unlimited")?,
        }
        Ok(())
    }
}

/// Sets only the soft limit, which can be raised again.
fn set_file_size_limit(server: &ServerProcess, bytes: &str) -> anyhow::Result<()> {
    let pid = server.pid()?.to_string();
    let mut prlimit = Command::new("prlimit");
    let status = prlimit.args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
    ensure!(status.context("can't run prlimit")?.success(), "prlimit did not set the limit");
    Ok(())
}
