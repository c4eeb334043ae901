//! A disk for the embedded database that can be filled and emptied: a small
//! file system in memory, or without root a limit on the size of the server's
//! files, which fails its writes in the same places with another error.

use crate::process::{Meanwhile, Outside};
use anyhow::{Context, ensure};
use servers::SmallDisk;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Size of the file system, MiB. It lives in memory, and is filled again and
/// again.
const MIB: usize = 96;

/// Where the database lies.
pub enum BoundedDisk {
    Tmpfs(SmallDisk),
    SizeLimit(TempDir),
}

impl BoundedDisk {
    /// # Errors
    /// There is no place for temporary files.
    pub fn new() -> anyhow::Result<Self> {
        match SmallDisk::mount_of(MIB) {
            Some(disk) => Ok(Self::Tmpfs(disk)),
            None => Ok(Self::SizeLimit(tempfile::tempdir()?)),
        }
    }

    /// What bounds it, in words.
    pub fn kind(&self) -> String {
        match self {
            Self::Tmpfs(_) => format!("a file system of {MIB} MiB in memory"),
            Self::SizeLimit(_) => "a limit on the size of files, as only root can mount one".into(),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Tmpfs(disk) => disk.path(),
            Self::SizeLimit(folder) => folder.path(),
        }
    }

    fn database(&self) -> PathBuf {
        self.folder().join("meanwhile.sqlite")
    }

    /// Starts a server with its database on this disk, and nothing else of it.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn serve(
        &self,
        binary: &Path,
        outside: Outside,
        variables: &[(&'static str, String)],
    ) -> anyhow::Result<Meanwhile> {
        let database = format!("sqlite://{}", self.database().display());
        let mut variables = variables.to_vec();
        variables.push(("MEANWHILE_DATABASE", database));
        // Past its limit a process is ended by SIGXFSZ unless that is ignored.
        let through: &[&str] = match self {
            Self::Tmpfs(_) => &[],
            Self::SizeLimit(_) => &["sh", "-c", r#"trap "" XFSZ; exec "$0""#],
        };
        let through: Vec<_> = through.iter().map(|&word| word.to_owned()).collect();
        Meanwhile::start_with(binary, outside, &variables, &through).await
    }

    /// Leaves room for so many pages of 4 KiB, from what is written now.
    ///
    /// # Errors
    /// The server does not run, or `prlimit` is not there.
    pub fn fill(&self, meanwhile: &Meanwhile, pages: u64) -> anyhow::Result<()> {
        match self {
            Self::Tmpfs(disk) => disk.fill_but(pages * 4096),
            Self::SizeLimit(_) => {
                let log = self.database().with_extension("sqlite-wal");
                let size = fs::metadata(log).map_or(0, |log| log.len());
                limit(meanwhile, &(size + pages * 4096).to_string())?;
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// As of [`Self::fill`].
    pub fn free(&self, meanwhile: &Meanwhile) -> anyhow::Result<()> {
        match self {
            Self::Tmpfs(disk) => disk.free(),
            Self::SizeLimit(_) => limit(meanwhile, "unlimited")?,
        }
        Ok(())
    }
}

/// Sets the soft limit alone, which may be raised again.
fn limit(meanwhile: &Meanwhile, bytes: &str) -> anyhow::Result<()> {
    let pid = meanwhile.pid()?.to_string();
    let mut prlimit = Command::new("prlimit");
    let status = prlimit.args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
    ensure!(status.context("can't run prlimit")?.success(), "prlimit did not set the limit");
    Ok(())
}
