//! Why a database can't be opened, for an operator to be told what to do.

use super::Error;
use sea_orm::DbErr;

/// What keeps a database from being used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// It holds a migration that this release does not have, and that no newer
    /// release made.
    UnknownMigration(String),
    /// Its content is no database, or is damaged.
    Damaged,
    /// Its file or folder can't be written.
    ReadOnly,
    /// Its file can't be opened or made.
    CannotOpen,
    /// There is no room on its disk.
    NoRoom,
    /// The disk fails to read or to write.
    DiskFails,
    /// Another program has locked it.
    Locked,
}

impl Error {
    /// What keeps the database from being used, by the
    /// [result codes](https://sqlite.org/rescode.html) of SQLite; `None` where
    /// the error is another one.
    pub fn open_failure(&self) -> Option<OpenFailure> {
        if let Self::Database(DbErr::Migration(unknown)) = self {
            return Some(OpenFailure::UnknownMigration(unknown.clone()));
        }
        Some(match self.sqlite_code()? {
            5 | 6 => OpenFailure::Locked,
            8 => OpenFailure::ReadOnly,
            10 => OpenFailure::DiskFails,
            11 | 26 => OpenFailure::Damaged,
            13 => OpenFailure::NoRoom,
            3 | 14 | 23 => OpenFailure::CannotOpen,
            _ => return None,
        })
    }

    /// The database's own words, for an operator.
    pub fn reason(&self) -> String {
        match self.database_error() {
            Some(error) => error.message().to_owned(),
            None => self.to_string(),
        }
    }
}
