//! The files of a SQLite database: whether they are still where they were
//! opened.
//!
//! A file that is deleted or replaced while it is open goes on to take writes,
//! which nobody finds again after a restart. In WAL mode SQLite itself does not
//! look (it does for a rollback journal, as `SQLITE_READONLY_DBMOVED`).

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// A database's file with the two beside it, its log and the log's index.
#[derive(Debug)]
pub(super) struct DatabaseFiles {
    database: PathBuf,
    /// Device and inode of the file that was opened.
    identity: (u64, u64),
    /// Those of `-wal` and `-shm` that were there. They are there as long as
    /// any connection is open, and may be made again by a later one.
    beside: Vec<PathBuf>,
    /// They were missed once. A connection that is opened afterwards may make
    /// the log anew, and nobody knows what was in the old one.
    missed: AtomicBool,
}

impl DatabaseFiles {
    /// Remembers the files of the database at `path`, which is open.
    ///
    /// # Errors
    /// The file can't be looked at.
    pub fn of_open(path: &Path) -> io::Result<Self> {
        let database = path.canonicalize()?;
        let identity = identity(&database)?;
        let beside = ["-wal", "-shm"].map(|suffix| {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        });
        let beside = beside.into_iter().filter(|path| path.exists()).collect();
        Ok(Self { database, identity, beside, missed: AtomicBool::new(false) })
    }

    /// Whether the files are those that were opened, and always were. The log
    /// tells of the first time that they are not.
    pub fn are_in_place(&self) -> bool {
        if self.missed.load(Ordering::Relaxed) {
            return false;
        }
        // A file system that does not answer is no proof that they are gone.
        let gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        let same = match identity(&self.database) {
            Ok(identity) => identity == self.identity,
            Err(error) => !gone(&error),
        };
        let all = same
            && !self.beside.iter().any(|path| fs::metadata(path).is_err_and(|error| gone(&error)));
        if !all && !self.missed.swap(true, Ordering::Relaxed) {
            tracing::error!(
                database = %self.database.display(),
                "the files of the database were deleted, moved or replaced while they were in \
                 use; nothing is written any more: stop Meanwhile, put them back (from a backup, \
                 if there is none of them left), and start it again"
            );
        }
        all
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
