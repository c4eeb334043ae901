//! The SQL store, which is the source of truth. SQLite and PostgreSQL share its
//! code: statements use the dialect that both understand (`$n`, `RETURNING`,
//! `ON CONFLICT`), and methods of [`Database`] cover the differences.
//!
//! A change of a task's state, its counters and its journal facts are one commit.
//! Transactions on tasks lock tasks, jobs and users, in the order that
//! `store::job_queues` documents; a user's action on a whole job locks the job, then
//! its tasks. If two such transactions deadlock, PostgreSQL aborts one of them, and
//! `retry_on_contention!` repeats it.

mod accept;
mod actor;
mod attempt_result;
mod audit;
mod backlog;
mod claim;
mod clock;
mod column_choices;
mod command_edit;
mod conflict;
mod connect;
mod control;
mod cooldown;
mod database;
mod database_files;
mod failed_task;
mod finish;
mod flow;
mod generation;
mod grid;
mod job_queues;
mod journal;
mod leader_lease;
mod left_out;
mod machine_tasks;
mod one_time_link;
mod open_failure;
mod operations;
mod protection;
mod prune;
mod publish;
mod read;
mod recent_facts;
mod round_robin;
mod row;
mod row_set;
mod schema;
mod search;
mod session;
mod slowest_tasks;
mod sql;
mod tokens;
mod transition;
mod upstream_control;
mod upstream_load;
mod users;
mod worker_heartbeat;

pub use accept::{AcceptedJob, NewJob, NewTask, OpenKind, OpenLimits};
pub use actor::{Actor, Credential};
pub use attempt_result::{AttemptError, AttemptResult, Success};
pub use audit::{AuditScope, NewAuditEntry};
pub use backlog::{Backlog, QueueBacklog};
pub use claim::{Claim, ClaimedTask};
pub use column_choices::ColumnChoice;
pub use conflict::Conflict;
pub use control::JobControl;
pub use cooldown::UpstreamCooldown;
pub use database::Database;
pub use failed_task::{FAILED_TASKS_LIMIT, FailedTask, FailureReason, StoredTask};
pub use finish::{FinishAttempt, FinishResult};
pub use generation::QueueGeneration;
pub use grid::{FailedUpload, GridQuery};
pub use job_queues::{ChannelLoad, JobLoad, RunningCalls};
pub use left_out::{LeftOutRow, UploadedFile};
pub use one_time_link::{INVITATION_LIFETIME, LinkPurpose, OneTimeLink, PASSWORD_RESET_LIFETIME};
pub use open_failure::OpenFailure;
pub use operations::{HeldTask, OwnedJob, RejectedMessage};
pub use protection::PostgresProtection;
pub use prune::{PrunedRows, Retention};
pub use publish::{DueTasks, ExhaustedJob};
pub use read::{JobQuery, TaskQuery};
pub use recent_facts::{FactCount, SeenFact};
pub use round_robin::RoundRobin;
pub use session::MAX_SESSIONS;
pub use slowest_tasks::TimedTask;
pub use tokens::{MAX_TOKENS, TokenGrant, TokenTerms};
pub use upstream_control::UpstreamControl;
pub use upstream_load::{FailedAttempt, QueueReader};
pub use users::{Identity, UserAccount};
pub use worker_heartbeat::{WorkerHeartbeat, WorkerIdentity};

use contract::{UserId, command::EditError, fact::Fact, text::TextError};
use sea_orm::{DbErr, RuntimeErr, SqlxError, sqlx::error::DatabaseError};
use sql::{
    advisory_lock, commit, execute, execute_and_commit, execute_bulk, query_all, query_one,
    retry_on_contention,
};
use std::{borrow::Cow, time::Duration};

/// Default length of a lease, in milliseconds. A worker renews it every third of
/// that time.
pub const DEFAULT_LEASE_MS: i64 = 60_000;
/// Default maximum of what one user may have open.
pub const DEFAULT_OPEN_LIMITS: OpenLimits = OpenLimits { tasks: 100_000, jobs: 10_000 };
/// Maximum number of attempts before a task fails for good: one, and one after each
/// back-off.
pub const MAX_ATTEMPTS: i64 = 1 + RETRY_BACKOFF_MS.len() as i64;
/// Upper bounds of the full jitter after each failed attempt, in milliseconds.
pub const RETRY_BACKOFF_MS: [i64; 5] = [2_000, 10_000, 30_000, 120_000, 600_000];
/// Number of lost leases in a row after which a task fails as poison.
pub const MAX_LEASE_LOSSES: i64 = 5;

/// [Result codes](https://sqlite.org/rescode.html) of SQLite: two primary ones and
/// an extended one.
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CONSTRAINT_COMMITHOOK: &str = "531";

/// Reason why the store did not do what was requested.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database can't be reached, or it rejected a statement.
    #[error("database: {}", open_failure::describe(.0))]
    Database(#[from] DbErr),
    /// The outcome of a commit is unknown: it may have taken effect.
    #[error("the outcome of a commit is unknown: {}", open_failure::describe(.0))]
    CommitUnknown(DbErr),
    /// The files of the database were deleted, moved or replaced while they
    /// were in use; nothing was changed.
    #[error("the files of the database were deleted, moved or replaced while they were in use")]
    FilesMissing,
    /// A stored value can't be read back.
    #[error("stored {what} can't be read: {why}")]
    Corrupt {
        /// Column of the value.
        what: &'static str,
        /// Error of the parser.
        why: String,
    },
    /// A text is too long, or contains a character that no database stores.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The edited command is refused.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Nothing with that id exists that this user may see.
    #[error("not found")]
    NotFound,
    /// The session or API token of the request has ended, or the user's account is
    /// disabled. Nothing was changed.
    #[error("the user is no longer signed in")]
    SignedOut,
    /// The API token of the request has expired. Nothing was changed.
    #[error("the API token has expired")]
    TokenExpired,
    /// The current state does not allow the change.
    #[error("the current state does not allow the change: {0:?}")]
    Conflict(Conflict),
    /// The same idempotency key was sent before with another body.
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    /// The user would exceed the open limits.
    #[error(
        "You have {open} open {what} and may have {limit}; this would add {more}. Wait until some \
         end."
    )]
    TooManyOpen {
        /// What the limit counts.
        what: OpenKind,
        /// Number that is open.
        open: i64,
        /// Number that the request would add.
        more: i64,
        /// Maximum number.
        limit: i64,
    },
}

impl Error {
    /// Removes the database URL, and with it the password, from SeaORM's error
    /// about a URL that it can't parse.
    fn redact_url(self, url: &str) -> Self {
        match self {
            Self::Database(error) if error.to_string().contains(url) => {
                let message = "its URL can't be read".to_owned();
                Self::Database(DbErr::Conn(RuntimeErr::Internal(message)))
            }
            other => other,
        }
    }

    /// Whether the database aborted a transaction in favour of another one: a
    /// deadlock, a serialisation failure, or a lock that was not free in time.
    fn is_contention(&self) -> bool {
        let contention = ["40001", "40P01", "55P03", "5", "6", "517"];
        self.code().is_some_and(|code| contention.contains(&&*code))
    }

    /// Whether there is no space left where the database stores its data.
    pub fn is_disk_full(&self) -> bool {
        self.code().is_some_and(|code| matches!(&*code, "53100" | "13"))
    }

    /// Whether the database can read but not write: the disk or a quota is full, or
    /// the disk fails or is read-only. No other process can write there either.
    pub fn cannot_write(&self) -> bool {
        self.is_disk_full() || matches!(self.sqlite_code(), Some(SQLITE_READONLY | SQLITE_IOERR))
    }

    /// Whether the database rejected the statement and keeps running. It is not
    /// shutting down, which
    /// [SQLSTATEs](https://www.postgresql.org/docs/current/errcodes-appendix.html)
    /// of 57P report, and no proxy in front of it has lost it, which those of class
    /// 08 report. SQLite's IOERR does not count: the whole commit may be in its
    /// log, where a restart would find it.
    fn is_rejected_by_database(&self) -> bool {
        self.code().is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"))
            && self.sqlite_code() != Some(SQLITE_IOERR)
    }

    /// Whether there was no connection to send the statement on.
    fn is_never_sent(&self) -> bool {
        matches!(
            self,
            Self::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(RuntimeErr::SqlxError(_)))
        )
    }

    /// Reclassifies an error of COMMIT: the outcome is unknown unless the database
    /// rejected it or it was never sent.
    fn into_commit_error(self) -> Self {
        let is_outcome_known = self.is_rejected_by_database() || self.is_never_sent();
        match self {
            Self::Database(error) if !is_outcome_known => Self::CommitUnknown(error),
            other => other,
        }
    }

    /// Whether the database works and the fault is our own: a statement, a value
    /// that it can't take, or a row that can't be read back. A retry does not help.
    ///
    /// These are the PostgreSQL
    /// [classes](https://www.postgresql.org/docs/current/errcodes-appendix.html) 0A
    /// (feature not supported), 21 and 22 (data), 23 (constraint), 42 (syntax,
    /// without 42501: insufficient privilege) and 54 (program limit); and the
    /// SQLite [primary codes](https://www.sqlite.org/rescode.html) 1 (error), 18
    /// (too big), 19 (constraint), 20 (mismatch), 21 (misuse) and 25 (range).
    pub fn is_defect(&self) -> bool {
        /// SQLITE_CONSTRAINT_TRIGGER: a trigger rejected the change, and this
        /// schema has none.
        const TRIGGER: u32 = 1811;
        let error = match self {
            Self::Corrupt { .. } => return true,
            Self::Database(error) | Self::CommitUnknown(error) => error,
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

    /// Logs and counts an error that the requester did not cause.
    pub fn log_and_count(&self) {
        if self.is_defect() {
            tracing::error!(error = %self, "our own code failed at the store");
            metrics::counter!(contract::metric::INTERNAL_ERRORS).increment(1);
        } else if matches!(self, Self::Database(_) | Self::CommitUnknown(_) | Self::FilesMissing) {
            tracing::error!(error = %self, "the store failed");
            metrics::counter!(contract::metric::DATABASE_ERRORS).increment(1);
        }
    }

    /// Returns the message for people, which never contains the database's own
    /// text.
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
            Self::TokenExpired => {
                "This token has expired. Create a new one on the account page.".into()
            }
            Self::Conflict(reason) => reason.public_message(),
            Self::TooManyOpen { .. } | Self::Text(_) | Self::Edit(_) => self.to_string(),
            _ if self.is_disk_full() => {
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
                 operator has fixed it."
                    .into()
            }
            _ if self.is_defect() => {
                "Our own code failed at this. Nothing was changed, and trying again is not likely \
                 to help: tell an operator, who finds the reason in the log."
                    .into()
            }
            Self::CommitUnknown(_) => {
                "The database did not answer. It is not known whether this was done: look first, \
                 and do it again if it was not."
                    .into()
            }
            Self::Database(_) | Self::Corrupt { .. } => {
                "The database did not answer. Nothing was changed; try again soon.".into()
            }
        }
    }

    /// Returns SQLite's [primary result code](https://sqlite.org/rescode.html).
    /// SQLSTATEs have five characters, which no SQLite code has.
    fn sqlite_code(&self) -> Option<u32> {
        let code = self.code().filter(|code| code.len() < 5)?;
        Some(code.parse::<u32>().ok()? & 0xff)
    }

    /// Converts the error to [`Error::FilesMissing`] where the commit hook rejected
    /// the commit because of the files.
    fn into_files_missing(self) -> Self {
        let refused = self.code().is_some_and(|code| code == SQLITE_CONSTRAINT_COMMITHOOK);
        if refused { Self::FilesMissing } else { self }
    }

    /// Returns PostgreSQL's SQLSTATE or SQLite's extended result code.
    fn code(&self) -> Option<Cow<'_, str>> {
        self.database_error()?.code()
    }

    /// Returns the error that the database itself reported.
    fn database_error(&self) -> Option<&dyn DatabaseError> {
        let (Self::Database(error) | Self::CommitUnknown(error)) = self else { return None };
        let (DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
        else {
            return None;
        };
        error.as_database_error()
    }

    /// Whether there is no connection to the database, which may recover in a
    /// moment.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Database(error) | Self::CommitUnknown(error) => {
                matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_))
            }
            Self::FilesMissing => true,
            _ => false,
        }
    }
}

/// Facts of one user that a commit wrote, for the hubs that serve this user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserFacts {
    /// The user whose journal has the facts.
    pub user: UserId,
    /// The facts, in the order of their `seq`.
    pub facts: Vec<Fact>,
}

/// The store, cheap to clone: one handle for each kind of thing that it stores.
#[derive(Clone)]
pub struct Store {
    /// Jobs that are accepted, and the state machine of their tasks.
    pub tasks: Tasks,
    /// Jobs and their tasks as people and programs read them.
    pub jobs: Jobs,
    /// Users, their sessions, API tokens and one-time links.
    pub accounts: Accounts,
    /// Journals of facts, and notifications.
    pub journal: Journal,
    /// Choices about how files with the same header are read.
    pub column_choices: ColumnChoices,
    /// What the processes of a cluster share: leader leases and cooldowns.
    pub coordination: Coordination,
    /// What admins set for upstreams.
    pub upstream_controls: UpstreamControls,
    /// Log of what people changed for everybody.
    pub audit: Audit,
    /// The database itself.
    pub database: Database,
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $($(#[$doc])* #[derive(Clone)] pub struct $name { db: Database })+
    };
}

handles!(
    /// Jobs that are accepted, and the state machine of their tasks.
    Tasks,
    /// Jobs and their tasks as people and programs read them.
    Jobs,
    /// Users, their sessions, API tokens and one-time links.
    Accounts,
    /// Journals of facts, and notifications.
    Journal,
    /// Choices about how files with the same header are read.
    ColumnChoices,
    /// What the processes of a cluster share: leader leases and cooldowns.
    Coordination,
    /// What admins set for upstreams.
    UpstreamControls,
    /// Log of what people changed for everybody.
    Audit,
);

impl Store {
    /// Opens the database at `url` (`sqlite://path` or `postgres://…`) and migrates
    /// its schema; a schema that a newer release has migrated further is accepted.
    /// `time_scale` divides the delays of retries: with speed 50, a sandbox retries 50
    /// times as soon.
    ///
    /// # Errors
    /// [`Error::Database`] where it can't be opened or migrated;
    /// [`Error::open_failure`] tells the reason.
    pub async fn open(
        url: &str,
        clock: crate::clock::SharedClock,
        time_scale: f64,
    ) -> Result<Self, Error> {
        Ok(Self::on(Database::open(url, clock, time_scale).await?))
    }

    /// Sets the length of leases; milliseconds are its resolution.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        let lease_ms = crate::clock::whole_millis(lease);
        Self::on(Database { lease_ms, ..self.database })
    }

    /// Sets the maximum of what one user may have open.
    #[must_use]
    pub fn with_open_limits(self, open_limits: OpenLimits) -> Self {
        Self::on(Database { open_limits, ..self.database })
    }

    fn on(database: Database) -> Self {
        let db = database;
        Self {
            tasks: Tasks { db: db.clone() },
            jobs: Jobs { db: db.clone() },
            accounts: Accounts { db: db.clone() },
            journal: Journal { db: db.clone() },
            column_choices: ColumnChoices { db: db.clone() },
            coordination: Coordination { db: db.clone() },
            upstream_controls: UpstreamControls { db: db.clone() },
            audit: Audit { db: db.clone() },
            database: db,
        }
    }
}
