//! Conversion of rows into the contract's types.

use super::Error;
use contract::{
    JobId, TaskId,
    api::{Job, Task},
    state::Counts,
};
use sea_orm::QueryResult;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, str::FromStr};
use uuid::Uuid;

/// Columns that [`job`] reads, and the job's user.
pub(super) const JOB_COLUMNS: &str = "id, user_id, kind, title, channels, state, paused, \
    cancel_requested, total, open, succeeded, failed, cancelled, needs_review, created_at, \
    finished_at";

/// Columns that [`task`] reads.
pub(super) const TASK_COLUMNS: &str = "id, job_id, cause_id, kind, key, channel, sku, title, row_no, \
    state, attempt, outcome_unknown, outcome, waiting_for, updated_at";

pub(super) fn job(row: &QueryResult) -> Result<Job, Error> {
    Ok(Job {
        id: JobId(row.try_get("", "id")?),
        kind: parsed(row, "kind")?,
        title: row.try_get("", "title")?,
        state: parsed(row, "state")?,
        paused: flag(row, "paused")?,
        cancel_requested: flag(row, "cancel_requested")?,
        counts: Counts {
            total: count(row, "total")?,
            open: count(row, "open")?,
            succeeded: count(row, "succeeded")?,
            failed: count(row, "failed")?,
            cancelled: count(row, "cancelled")?,
            needs_review: count(row, "needs_review")?,
        },
        channels: json(row, "channels")?,
        created_at: row.try_get("", "created_at")?,
        finished_at: row.try_get("", "finished_at")?,
        eta_ms: None,
    })
}

pub(super) fn task(row: &QueryResult) -> Result<Task, Error> {
    Ok(Task {
        id: TaskId(row.try_get("", "id")?),
        job: JobId(row.try_get("", "job_id")?),
        kind: row.try_get("", "kind")?,
        key: row.try_get("", "key")?,
        row: count(row, "row_no")?,
        title: row.try_get("", "title")?,
        channel: row.try_get("", "channel")?,
        sku: row.try_get("", "sku")?,
        state: parsed(row, "state")?,
        attempt: count(row, "attempt")?,
        outcome_unknown: flag(row, "outcome_unknown")?,
        cause: row.try_get::<Option<Uuid>>("", "cause_id")?.map(TaskId),
        outcome: optional_json(row, "outcome")?,
        waiting_for: optional_json(row, "waiting_for")?,
        updated_at: row.try_get("", "updated_at")?,
    })
}

pub(super) fn flag(row: &QueryResult, column: &str) -> Result<bool, Error> {
    Ok(row.try_get::<i64>("", column)? != 0)
}

pub(super) fn count(row: &QueryResult, column: &'static str) -> Result<u32, Error> {
    let value: i64 = row.try_get("", column)?;
    u32::try_from(value).map_err(|error| Error::Corrupt { what: column, why: error.to_string() })
}

pub(super) fn parsed<T: FromStr<Err: Display>>(
    row: &QueryResult,
    column: &'static str,
) -> Result<T, Error> {
    let text: String = row.try_get("", column)?;
    text.parse().map_err(|error: T::Err| Error::Corrupt { what: column, why: error.to_string() })
}

pub(super) fn json<T: DeserializeOwned>(
    row: &QueryResult,
    column: &'static str,
) -> Result<T, Error> {
    parse_json(column, &row.try_get::<String>("", column)?)
}

pub(super) fn optional_json<T: DeserializeOwned>(
    row: &QueryResult,
    column: &'static str,
) -> Result<Option<T>, Error> {
    row.try_get::<Option<String>>("", column)?.map(|text| parse_json(column, &text)).transpose()
}

fn parse_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt { what, why: error.to_string() })
}

/// Serializes a value as the text of a column.
pub(super) fn to_json_text<T: Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt { what, why: error.to_string() })
}
