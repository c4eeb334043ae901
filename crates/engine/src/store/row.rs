//! Typed rows: each value is found by the name of its column, and its type decides
//! how it is read.

use super::{Error, query_all};
use contract::{
    JobId, TaskId, TokenId, UserId,
    api::{AuditAction, CooldownReason, Job, NotificationKind, Role, Task, TokenScope},
    fact::FactKind,
    state::{Counts, Effect, JobKind, JobState, TaskState},
};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A row of a result.
pub(super) struct Row(QueryResult);

impl From<QueryResult> for Row {
    fn from(result: QueryResult) -> Self {
        Self(result)
    }
}

impl Row {
    /// Reads the column `name`.
    ///
    /// # Errors
    /// [`Error::Database`] where there is no such column or it has another type;
    /// [`Error::Corrupt`] where its value can't be parsed.
    pub fn get<T: FromColumn>(&self, name: &'static str) -> Result<T, Error> {
        T::from_column(&self.0, name)
    }

    /// Reads the column `name`, which stores JSON.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Error> {
        let text: String = self.get(name)?;
        serde_json::from_str(&text).map_err(|error| corrupt(name, error))
    }

    /// Reads the column `name`, which stores JSON or is NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn optional_json<T: DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, Error> {
        let text: Option<String> = self.get(name)?;
        let value = text.map(|text| serde_json::from_str(&text)).transpose();
        value.map_err(|error| corrupt(name, error))
    }
}

/// A type that a row is read as.
pub(super) trait FromRow: Sized {
    /// Reads the row's columns by their names.
    ///
    /// # Errors
    /// As [`Row::get`].
    fn from_row(row: &Row) -> Result<Self, Error>;
}

/// A type that a column is read as.
pub(super) trait FromColumn: Sized {
    /// Reads the column `name`.
    ///
    /// # Errors
    /// As [`Row::get`].
    fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error>;
}

macro_rules! from_native_column {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
                Ok(row.try_get("", name)?)
            }
        })+
    };
}
from_native_column!(i64, String, Uuid, Option<i64>, Option<f64>, Option<String>, Option<Uuid>);

macro_rules! from_id_column {
    ($($type:ident),+) => {
        $(impl FromColumn for $type {
            fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
                Uuid::from_column(row, name).map(Self)
            }
        }
        impl FromColumn for Option<$type> {
            fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
                Ok(Option::<Uuid>::from_column(row, name)?.map($type))
            }
        })+
    };
}
from_id_column!(JobId, TaskId, TokenId, UserId);

macro_rules! from_text_column {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
                let text = String::from_column(row, name)?;
                text.parse().map_err(|error| corrupt(name, error))
            }
        })+
    };
}
impl FromColumn for Option<Effect> {
    fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
        let text = Option::<String>::from_column(row, name)?;
        text.map(|text| text.parse().map_err(|error| corrupt(name, error))).transpose()
    }
}

from_text_column!(
    TaskState,
    TokenScope,
    JobState,
    JobKind,
    FactKind,
    Role,
    NotificationKind,
    CooldownReason,
    AuditAction
);

/// A flag: 0 or 1.
impl FromColumn for bool {
    fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
        Ok(i64::from_column(row, name)? != 0)
    }
}

/// A version.
impl FromColumn for u16 {
    fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
        Self::try_from(i64::from_column(row, name)?).map_err(|error| corrupt(name, error))
    }
}

/// A count.
impl FromColumn for u32 {
    fn from_column(row: &QueryResult, name: &'static str) -> Result<Self, Error> {
        Self::try_from(i64::from_column(row, name)?).map_err(|error| corrupt(name, error))
    }
}

/// Returns the error of a row that is missing although the schema or an earlier statement
/// of the transaction says that it is there.
pub(super) fn missing(what: &'static str) -> Error {
    Error::Corrupt { what, why: "it is missing".into() }
}

fn corrupt(what: &'static str, error: impl std::fmt::Display) -> Error {
    Error::Corrupt { what, why: error.to_string() }
}

/// Returns all rows of a query.
pub(super) async fn rows<T: FromRow, C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<T>, Error> {
    query_all(c, sql, values).await?.iter().map(T::from_row).collect()
}

/// Columns of a [`Job`].
pub(super) const JOB_COLUMNS: &str = "id, user_id, kind, title, channels, state, paused, \
    cancel_requested, total, open, succeeded, failed, rejected, cancelled, needs_review, \
    created, updated, unchanged, file_rows, left_out, created_at, finished_at";

impl FromRow for Job {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            kind: row.get("kind")?,
            title: row.get("title")?,
            state: row.get("state")?,
            paused: row.get("paused")?,
            cancel_requested: row.get("cancel_requested")?,
            counts: Counts {
                total: row.get("total")?,
                open: row.get("open")?,
                succeeded: row.get("succeeded")?,
                failed: row.get("failed")?,
                rejected: row.get("rejected")?,
                cancelled: row.get("cancelled")?,
                needs_review: row.get("needs_review")?,
                created: row.get("created")?,
                updated: row.get("updated")?,
                unchanged: row.get("unchanged")?,
            },
            channels: row.json("channels")?,
            file_rows: row.get("file_rows")?,
            left_out: row.get("left_out")?,
            created_at: row.get("created_at")?,
            finished_at: row.get("finished_at")?,
            eta_ms: None,
            eta_min_ms: None,
            eta_max_ms: None,
        })
    }
}

/// Columns of a [`Task`].
pub(super) const TASK_COLUMNS: &str = "id, job_id, cause_id, kind, key, channel, sku, title, row_no, \
    state, effect, attempt, unknown_since, outcome, waiting_for, updated_at";

impl FromRow for Task {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            job: row.get("job_id")?,
            kind: row.get("kind")?,
            key: row.get("key")?,
            row: row.get("row_no")?,
            title: row.get("title")?,
            channel: row.get("channel")?,
            sku: row.get("sku")?,
            state: row.get("state")?,
            effect: row.get("effect")?,
            attempt: row.get("attempt")?,
            outcome_unknown: row.get::<Option<i64>>("unknown_since")?.is_some(),
            cause: row.get("cause_id")?,
            outcome: row.optional_json("outcome")?,
            waiting_for: row.optional_json("waiting_for")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// Serializes a value as the text of a column.
pub(super) fn to_json_text<T: Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}
