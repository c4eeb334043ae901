//! The ledger's file: one JSON line per row, append-only.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::row::LedgerRow;

const DEFAULT_FILE_NAME: &str = "sandbox-ledger.jsonl";

/// Reason for which the ledger can't be continued.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file can't be opened, read or truncated.
    #[error("the ledger {path} can't be opened: {source}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another sandbox has locked the file.
    #[error("the ledger {path} is in use by another sandbox: stop it, or choose another file")]
    InUse {
        /// Path of the file.
        path: PathBuf,
    },
    /// A line is not a valid row.
    #[error("line {line} of the ledger {path} is not a valid row: move the file away")]
    Corrupt {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
}

/// The open file, which is locked until it is closed.
pub struct LedgerFile {
    file: File,
    length: u64,
}

impl LedgerFile {
    /// Calls `accept_row` with each row, which returns whether the row is consistent. A last line
    /// that a killed process left unfinished is cut off: its request got no response.
    ///
    /// # Errors
    /// The file can't be opened, is in use, or has an invalid row.
    pub fn open(
        path: &Path,
        mut accept_row: impl FnMut(LedgerRow<String>) -> bool,
    ) -> Result<Self, OpenError> {
        let path = ledger_file_path(path);
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io_error)?;
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(&path).map_err(io_error)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { path: path.clone() },
            TryLockError::Error(source) => io_error(source),
        })?;

        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut length = 0;
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(io_error)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            if !serde_json::from_slice(&line).is_ok_and(&mut accept_row) {
                return Err(OpenError::Corrupt { path, line: number });
            }
            length += read as u64;
        }
        file.set_len(length).map_err(io_error)?;
        Ok(Self { file, length })
    }

    /// Appends a row completely or not at all: a line that a full disk cut short is removed.
    ///
    /// # Errors
    /// The row can't be written.
    pub fn append(&mut self, row: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        match self.file.write_all(&line) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.file.set_len(self.length)?;
                Err(error)
            }
        }
    }
}

/// Returns the path of the file. A path without an extension is a folder, whether it exists or not.
fn ledger_file_path(path: &Path) -> PathBuf {
    if path.is_dir() || path.extension().is_none() {
        path.join(DEFAULT_FILE_NAME)
    } else {
        path.to_path_buf()
    }
}
