//! The truth. One code for SQLite and PostgreSQL: statements keep to the
//! dialect that both speak (`$n`, `RETURNING`, `ON CONFLICT`), and where they
//! differ a method of [`Store`] knows.
//!
//! Every change of a task's state, its counters and its journal facts are one
//! commit. Who works on tasks locks task, job, user; what a person does to a
//! whole job locks the job, then its tasks. Where two meet, PostgreSQL ends one
//! and `persist!` does it anew.

mod accept;
mod actor;
mod apply;
mod backlog;
mod claim;
mod clock;
mod closed;
mod connect;
mod control;
mod database_files;
mod finish;
mod flow;
mod generation;
mod grid;
mod job_queues;
mod journal;
mod link;
mod open_failure;
mod people;
mod prune;
mod publish;
mod read;
mod row;
mod schema;
mod search;
mod seat;
mod session;
mod sql;
mod tokens;

pub use accept::{Accept, Accepted, MaxOpen, NewTask};
pub use actor::{Actor, Credential};
pub use backlog::{Backlog, OfQueue};
pub use claim::{Claim, Claimed};
pub use closed::Closing;
pub use control::Control;
pub use finish::{Ending, Finish, Finished};
pub use generation::QueueGeneration;
pub use grid::{FailedUpload, GridQuery};
pub use job_queues::{ChannelLoad, JobLoad, RunningCalls};
pub use link::{INVITATION_LIFE_MS, Link, Purpose, RESET_LIFE_MS};
pub use open_failure::OpenFailure;
pub use people::{Account, Identity};
pub use prune::{Pruned, Retention};
pub use publish::{Due, Exhausted, Turns};
pub use read::{JobQuery, TaskQuery};
pub use session::MAX_SESSIONS;
pub use tokens::MAX_TOKENS;

use connect::Opened;
use contract::{UserId, fact::Fact, text::TextError};
use database_files::DatabaseFiles;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, SqlxError,
    sqlx::error::DatabaseError,
};
use sql::{
    all, alone, commit, execute, execute_on_all, one, parts, persist, places, tuples, write,
};
use std::{borrow::Cow, sync::Arc};
use uuid::Uuid;

/// A lease lasts this long unless it is set otherwise, ms; it is renewed every
/// third of it.
pub const LEASE_MS: i64 = 60_000;
/// What one user may have open unless it is set otherwise.
pub const MAX_OPEN: MaxOpen = MaxOpen { tasks: 100_000, jobs: 10_000 };
/// Attempts before a task fails for good: one, and one after each back-off.
pub const MAX_ATTEMPTS: i64 = 1 + BACK_OFF_MS.len() as i64;
/// Upper bounds of the full jitter after each failed attempt, ms.
pub const BACK_OFF_MS: [i64; 5] = [2_000, 10_000, 30_000, 120_000, 600_000];
/// Lost leases in a row that make a task poison.
pub const MAX_LOST: i64 = 5;

/// [Result codes](https://sqlite.org/rescode.html) of SQLite, primary ones and
/// then an extended one.
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CONSTRAINT_COMMITHOOK: &str = "531";

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database can't be reached, or refused a statement.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// No word came on a commit: it may have been kept.
    #[error("no word on a commit: {0}")]
    Unsettled(DbErr),
    /// The files of the database were deleted, moved or replaced while they
    /// were in use; nothing was changed.
    #[error("the files of the database were deleted, moved or replaced while they were in use")]
    FilesMissing,
    /// What the database holds can't be read back.
    #[error("stored {what} can't be read: {why}")]
    Corrupt { what: &'static str, why: String },
    /// A text is too long, or holds a character that no database keeps.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Nothing of that id that this user may see.
    #[error("not found")]
    NotFound,
    /// The session or the API token that the change was asked for with has
    /// ended, or the account is disabled. Nothing was changed.
    #[error("the person is not signed in any more")]
    SignedOut,
    /// The state of the thing does not allow it; in words for people.
    #[error("{0}")]
    Conflict(String),
    /// The same idempotency key came with another body.
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    /// Too much is open; `what` are items or jobs.
    #[error(
        "You have {open} open {what} and may have {limit}; this would add {more}. Wait until some \
         end."
    )]
    TooManyOpen { what: &'static str, open: i64, more: i64, limit: i64 },
}

impl Error {
    /// What SeaORM says of a URL that it can't read has the URL in it, password
    /// and all.
    fn without(self, url: &str) -> Self {
        match self {
            Self::Database(error) if error.to_string().contains(url) => {
                let words = "its URL can't be read".to_owned();
                Self::Database(DbErr::Conn(RuntimeErr::Internal(words)))
            }
            other => other,
        }
    }

    /// The database turned a transaction away for the sake of another one: a
    /// deadlock, a serialisation failure, a lock that was not free in time.
    fn is_contention(&self) -> bool {
        let contention = ["40001", "40P01", "55P03", "5", "6", "517"];
        self.code().is_some_and(|code| contention.contains(&&*code))
    }

    /// There is no room for more where the database keeps its data.
    pub fn is_full(&self) -> bool {
        self.code().is_some_and(|code| matches!(&*code, "53100" | "13"))
    }

    /// The database reads but can't write: no room, a quota, a disk that fails or
    /// is read-only. Nobody else can write there either.
    pub fn cannot_write(&self) -> bool {
        self.is_full() || matches!(self.sqlite_code(), Some(SQLITE_READONLY | SQLITE_IOERR))
    }

    /// The database has said no, and goes on: it was not on its way out, which
    /// [SQLSTATEs](https://www.postgresql.org/docs/current/errcodes-appendix.html)
    /// of 57P tell, and what stands before it has not lost it, which those of
    /// class 08 do. SQLite may say that writing failed when the whole commit is
    /// in its log, where a restart would find it.
    fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"))
            && self.sqlite_code() != Some(SQLITE_IOERR)
    }

    /// There was no connection to ask by.
    fn is_unasked(&self) -> bool {
        matches!(
            self,
            Self::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(RuntimeErr::SqlxError(_)))
        )
    }

    /// As what commits has it: unsettled, but where the database has said no or
    /// was not asked.
    fn of_commit(self) -> Self {
        let settled = self.is_refusal() || self.is_unasked();
        match self {
            Self::Database(error) if !settled => Self::Unsettled(error),
            other => other,
        }
    }

    /// The database works, and what is wrong is our own: a statement, a value
    /// that it can't take, or a row that can't be read back. Trying again helps
    /// nobody.
    ///
    /// Of PostgreSQL the
    /// [classes](https://www.postgresql.org/docs/current/errcodes-appendix.html)
    /// 0A (feature not supported), 21 and 22 (data), 23 (constraint), 42
    /// (syntax, without 42501: insufficient privilege) and 54 (program limit);
    /// of SQLite the [primary codes](https://www.sqlite.org/rescode.html) 1
    /// (error), 18 (too big), 19 (constraint), 20 (mismatch), 21 (misuse) and
    /// 25 (range).
    pub fn is_defect(&self) -> bool {
        /// SQLITE_CONSTRAINT_TRIGGER: a trigger, of which none is ours, refused.
        const TRIGGER: u32 = 1811;
        let error = match self {
            Self::Corrupt { .. } => return true,
            Self::Database(error) | Self::Unsettled(error) => error,
            _ => return false,
        };
        if let Some(code) = self.code() {
            return match code.len() {
                5 => {
                    let classes = ["0A", "21", "22", "23", "42", "54"];
                    classes.iter().any(|class| code.starts_with(class)) && code != "42501"
                }
                _ => code.parse::<u32>().is_ok_and(|code| {
                    matches!(code & 0xff, 1 | 18 | 19 | 20 | 21 | 25) && code != TRIGGER
                }),
            };
        }
        match error {
            DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => matches!(
                **error,
                SqlxError::InvalidArgument(_)
                    | SqlxError::Encode(_)
                    | SqlxError::Decode(_)
                    | SqlxError::ColumnDecode { .. }
                    | SqlxError::ColumnNotFound(_)
                    | SqlxError::ColumnIndexOutOfBounds { .. }
                    | SqlxError::TypeNotFound { .. }
            ),
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => true,
            _ => false,
        }
    }

    /// Logs and counts an error that is not the fault of whoever asked.
    pub fn record(&self) {
        if self.is_defect() {
            tracing::error!(error = %self, "our own code failed at the store");
            metrics::counter!("meanwhile_defects_total").increment(1);
        } else if matches!(self, Self::Database(_) | Self::Unsettled(_) | Self::FilesMissing) {
            tracing::error!(error = %self, "the store failed");
            metrics::counter!("meanwhile_store_failures_total").increment(1);
        }
    }

    /// What a person is told of it: never the database's own words.
    pub fn public_message(&self) -> String {
        match self {
            Self::NotFound => "There is nothing here.".into(),
            Self::KeyReused => {
                "This idempotency key was used for a different request. Use a new key.".into()
            }
            Self::SignedOut => {
                "You were signed out meanwhile. Sign in, and do it again: nothing was changed."
                    .into()
            }
            Self::Conflict(_) | Self::TooManyOpen { .. } | Self::Text(_) => self.to_string(),
            _ if self.is_full() => {
                "The database has no room left on its disk. Nothing was changed; try again when an \
                 operator has made some."
                    .into()
            }
            Self::FilesMissing => {
                "The files of the database are gone. Nothing was changed; try again when an \
                 operator has put them back."
                    .into()
            }
            Self::Database(_) if self.cannot_write() => {
                "The database can't write to its disk. Nothing was changed; try again when an \
                 operator has seen to it."
                    .into()
            }
            _ if self.is_defect() => {
                "Our own code failed at this. Nothing was changed, and trying again is not likely \
                 to help: tell an operator, who finds the reason in the log."
                    .into()
            }
            Self::Unsettled(_) => {
                "The database did not answer. It is not known whether this was done: look first, \
                 and do it again if it was not."
                    .into()
            }
            Self::Database(_) | Self::Corrupt { .. } => {
                "The database did not answer. Nothing was changed; try again soon.".into()
            }
        }
    }

    /// SQLite's [primary result code](https://sqlite.org/rescode.html).
    /// SQLSTATEs have five characters, which no code of SQLite's has.
    fn sqlite_code(&self) -> Option<u32> {
        let code = self.code().filter(|code| code.len() < 5)?;
        Some(code.parse::<u32>().ok()? & 0xff)
    }

    /// [`Error::FilesMissing`] where the commit was refused for their sake.
    fn of_files(self) -> Self {
        let refused = self.code().is_some_and(|code| code == SQLITE_CONSTRAINT_COMMITHOOK);
        if refused { Self::FilesMissing } else { self }
    }

    /// PostgreSQL's SQLSTATE, SQLite's extended result code.
    fn code(&self) -> Option<Cow<'_, str>> {
        self.database_error()?.code()
    }

    /// What the database itself has said.
    fn database_error(&self) -> Option<&dyn DatabaseError> {
        let (Self::Database(error) | Self::Unsettled(error)) = self else { return None };
        let (DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
        else {
            return None;
        };
        error.as_database_error()
    }

    /// No connection to the database: it may be better in a moment.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Database(error) | Self::Unsettled(error) => {
                matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_))
            }
            Self::FilesMissing => true,
            _ => false,
        }
    }
}

/// Facts that a commit brought about, for the hubs of their user.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    pub user: UserId,
    pub facts: Vec<Fact>,
}

/// A cheap handle to the database.
#[derive(Clone)]
pub struct Store {
    /// Readers. On PostgreSQL the same pool as `writer`.
    reader: DatabaseConnection,
    /// On SQLite a pool of one connection: one writer.
    writer: DatabaseConnection,
    /// SQLite's.
    files: Option<Arc<DatabaseFiles>>,
    clock: crate::clock::Shared,
    epoch: String,
    time_scale: f64,
    lease_ms: i64,
    max_open: MaxOpen,
}

impl Store {
    /// Opens the database at `url` (`sqlite://path` or `postgres://…`) and
    /// brings its schema up to date; one that a newer release has brought
    /// further is taken as it is. `time_scale` divides back-offs: a
    /// sandbox at speed 50 retries 50 times as soon.
    pub async fn open(
        url: &str,
        clock: crate::clock::Shared,
        time_scale: f64,
    ) -> Result<Self, Error> {
        let opened = connect::open(url).await.map_err(|error| error.without(url))?;
        let Opened { writer, reader, files } = opened;
        let epoch = String::new();
        let (lease_ms, max_open) = (LEASE_MS, MAX_OPEN);
        let mut store =
            Self { reader, writer, files, clock, epoch, time_scale, lease_ms, max_open };
        store.follow_clock().await?;
        store.epoch = store.read_epoch().await?;
        Ok(store)
    }

    /// With leases of another length, ms.
    #[must_use]
    pub fn with_lease(self, lease_ms: i64) -> Self {
        Self { lease_ms, ..self }
    }

    /// With other bounds on what one user may have open.
    #[must_use]
    pub fn with_max_open(self, max_open: MaxOpen) -> Self {
        Self { max_open, ..self }
    }

    /// What one user may have open.
    pub fn max_open(&self) -> MaxOpen {
        self.max_open
    }

    /// How long a lease lasts, ms.
    pub fn lease_ms(&self) -> i64 {
        self.lease_ms
    }

    /// Whether one process alone can use this database.
    pub fn has_one_process(&self) -> bool {
        self.is_sqlite()
    }

    fn is_sqlite(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Sqlite
    }

    /// The random value made with the database; another one means another
    /// history.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// UTC ms by the store's clock.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// SQLite's file stays as large as it is, or may grow again.
    #[cfg(feature = "testing")]
    pub async fn may_grow(&self, grows: bool) -> Result<(), Error> {
        // A smaller number than there are pages means those that there are.
        let pages = if grows { u32::MAX - 1 } else { 1 };
        one(&self.writer, &format!("PRAGMA max_page_count = {pages}"), []).await.map(|_| ())
    }

    /// Whether the database answers, and its files are where they were opened.
    pub async fn ping(&self) -> Result<(), Error> {
        if self.files.as_ref().is_some_and(|files| !files.are_in_place()) {
            return Err(Error::FilesMissing);
        }
        one(&self.reader, "SELECT 1 AS one", []).await.map(|_| ())
    }

    /// Returns the key, random and the same for all processes on this
    /// database, by which cookies of known devices are signed.
    pub async fn signing_key(&self) -> Result<String, Error> {
        let key: [u8; 32] = rand::random();
        execute(
            &self.writer,
            "INSERT INTO meta (name, value) VALUES ('signing_key', $1) \
             ON CONFLICT (name) DO NOTHING",
            [hex::encode(key).into()],
        )
        .await?;
        let sql = "SELECT value FROM meta WHERE name = 'signing_key'";
        Ok(one(&self.writer, sql, []).await?.ok_or(Error::NotFound)?.try_get("", "value")?)
    }

    async fn read_epoch(&self) -> Result<String, Error> {
        execute(
            &self.writer,
            "INSERT INTO meta (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING",
            [Uuid::now_v7().simple().to_string().into()],
        )
        .await?;
        let row = one(&self.writer, "SELECT value FROM meta WHERE name = 'epoch'", []).await?;
        Ok(row.ok_or(Error::NotFound)?.try_get("", "value")?)
    }

    async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        sql::begin(&self.writer).await
    }

    /// Locks the row that is read. SQLite's one writer needs no such word.
    fn for_update(&self) -> &'static str {
        if self.is_sqlite() { "" } else { " FOR UPDATE" }
    }

    /// The same where no key changes: rows that refer to it are still made.
    fn for_update_of_values(&self) -> &'static str {
        if self.is_sqlite() { "" } else { " FOR NO KEY UPDATE" }
    }

    /// Full jitter on the back-off that follows attempt number `attempt`.
    fn back_off(&self, attempt: i64) -> i64 {
        let step = usize::try_from(attempt - 1).unwrap_or(0).min(BACK_OFF_MS.len() - 1);
        self.scaled(rand::random_range(0..=BACK_OFF_MS[step]))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn scaled(&self, ms: i64) -> i64 {
        (ms as f64 / self.time_scale) as i64
    }
}
