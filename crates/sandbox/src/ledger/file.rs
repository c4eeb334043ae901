//! The ledger's file: a JSON line a row, only ever appended to.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::row::Row;

const NAME_IN_FOLDER: &str = "sandbox-ledger.jsonl";

/// Why the ledger can't be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the ledger {path} can't be opened: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the ledger {path} is in use by another sandbox: stop it, or choose another file")]
    InUse { path: PathBuf },
    #[error("line {line} of the ledger {path} is no row of a ledger: move the file away")]
    Broken { path: PathBuf, line: usize },
}

/// Locked for as long as it is open.
pub struct LedgerFile {
    file: File,
    length: u64,
}

impl LedgerFile {
    /// Calls `keep` with each row; it answers whether the row makes sense. A last line that a
    /// killed process left unfinished is cut off: nothing was answered on its strength.
    pub fn open(path: &Path, mut keep: impl FnMut(Row<String>) -> bool) -> Result<Self, OpenError> {
        let path = file_of(path);
        let failed = |source| OpenError::Io { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(&path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { path: path.clone() },
            TryLockError::Error(source) => failed(source),
        })?;

        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut length = 0;
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            if !serde_json::from_slice(&line).is_ok_and(&mut keep) {
                return Err(OpenError::Broken { path, line: number });
            }
            length += read as u64;
        }
        file.set_len(length).map_err(failed)?;
        Ok(Self { file, length })
    }

    /// Whole or not at all: a line that a full disk cut short is taken back.
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

/// A path without an extension is a folder, whether it is there already or not.
fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() || path.extension().is_none() {
        path.join(NAME_IN_FOLDER)
    } else {
        path.to_path_buf()
    }
}
