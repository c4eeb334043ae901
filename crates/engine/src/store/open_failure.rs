//! Reasons why a database can't be opened, so that an operator can be told what to
//! do.

use super::Error;
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use tls::TlsFailure;

/// Reason why a database can't be used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// It contains a migration that this release does not have, and that no newer
    /// release made.
    UnknownMigration(String),
    /// Its content is damaged, or is not a database.
    Damaged,
    /// Its file or folder can't be written.
    ReadOnly,
    /// Its file can't be opened or created.
    CannotOpen,
    /// There is no space left on its disk.
    DiskFull,
    /// Its disk fails to read or write.
    DiskError,
    /// Another program has locked it.
    Locked,
    /// The server can't be trusted or understood over TLS.
    Tls(TlsFailure),
}

impl Error {
    /// Returns the reason why the database can't be used, from SQLite's [result
    /// codes](https://sqlite.org/rescode.html) or a failure of TLS; `None` for any other
    /// error.
    pub fn open_failure(&self) -> Option<OpenFailure> {
        if let Self::Database(DbErr::Migration(unknown)) = self {
            return Some(OpenFailure::UnknownMigration(unknown.clone()));
        }
        if let Self::Database(error) = self
            && let Some(failure) = tls_failure(error)
        {
            return Some(OpenFailure::Tls(failure));
        }
        Some(match self.sqlite_code()? {
            5 | 6 => OpenFailure::Locked,
            8 => OpenFailure::ReadOnly,
            10 => OpenFailure::DiskError,
            11 | 26 => OpenFailure::Damaged,
            13 => OpenFailure::DiskFull,
            3 | 14 | 23 => OpenFailure::CannotOpen,
            _ => return None,
        })
    }

    /// Returns the database's own message, for an operator.
    pub fn database_message(&self) -> String {
        match self.database_error() {
            Some(error) => error.message().to_owned(),
            None => self.to_string(),
        }
    }
}

/// Returns why there is no TLS connection to the server, if that is the error. SeaORM does not
/// name the driver's error as the source of its own.
fn tls_failure(error: &DbErr) -> Option<TlsFailure> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    TlsFailure::find(&**error).or_else(|| {
        // The only error of this kind that is not rustls's.
        let SqlxError::Tls(error) = &**error else { return None };
        (error.to_string() == "server does not support TLS").then_some(TlsFailure::NotSupported)
    })
}

/// Returns the text of an error, with a failure of TLS in words.
pub(super) fn describe(error: &DbErr) -> String {
    match tls_failure(error) {
        Some(failure) => format!("PostgreSQL can't be reached over TLS: {failure}"),
        None => error.to_string(),
    }
}
