//! The files of a SQLite database: whether they are still where they were opened.
//!
//! A file that is deleted or replaced while it is open still accepts writes, which
//! are lost after a restart. In WAL mode SQLite itself does not check (it does for
//! a rollback journal, as `SQLITE_READONLY_DBMOVED`).

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// A database's file and the two beside it: its log, and the log's index.
#[derive(Debug)]
pub(super) struct DatabaseFiles {
    database: PathBuf,
    /// Device and inode of the file that was opened.
    identity: (u64, u64),
    /// Those of `-wal` and `-shm` that existed. They exist as long as any
    /// connection is open, and a later connection may create them again.
    wal_files: Vec<PathBuf>,
    /// Whether the files were missing once. A connection that is opened afterwards
    /// may create a new log, and the content of the old one is lost.
    were_missing: AtomicBool,
}

impl DatabaseFiles {
    /// Remembers the files of the database at `path`, which is open.
    ///
    /// # Errors
    /// The file can't be examined.
    pub fn track(path: &Path) -> io::Result<Self> {
        let database = path.canonicalize()?;
        let identity = identity(&database)?;
        let wal_files = ["-wal", "-shm"].map(|suffix| {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        });
        let wal_files = wal_files.into_iter().filter(|path| path.exists()).collect();
        Ok(Self { database, identity, wal_files, were_missing: AtomicBool::new(false) })
    }

    /// Whether the files are those that were opened, and always have been. Logs the
    /// first time that they are not.
    pub fn are_in_place(&self) -> bool {
        if self.were_missing.load(Ordering::Relaxed) {
            return false;
        }
        // A file system that does not answer is no proof that the files are
        // missing.
        let is_not_found = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        let same = match identity(&self.database) {
            Ok(identity) => identity == self.identity,
            Err(error) => !is_not_found(&error),
        };
        let are_in_place = same
            && !self
                .wal_files
                .iter()
                .any(|path| fs::metadata(path).is_err_and(|error| is_not_found(&error)));
        if !are_in_place && !self.were_missing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                database = %self.database.display(),
                "the files of the database were deleted, moved or replaced while they were in \
                 use; nothing is written any more: stop Meanwhile, put them back (from a backup, \
                 if there is none of them left), and start it again"
            );
        }
        are_in_place
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
