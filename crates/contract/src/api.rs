//! What `/api/v1` and the pages read and write. Times are UTC, ms since
//! 1970, by the database's clock.

mod grid;
mod launch;
mod people;

pub use grid::*;
pub use launch::*;
pub use people::*;

use crate::{
    JobId, TaskId,
    feed::BadRow,
    state::{Counts, JobKind, JobState, TaskState, words},
    text,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a user launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    /// Such as the file's name, or the machines' names.
    pub title: String,
    pub state: JobState,
    pub paused: bool,
    pub cancel_requested: bool,
    #[serde(flatten)]
    pub counts: Counts,
    /// Channels of an upload, in the order of the grid's columns; empty for
    /// other kinds.
    #[serde(default)]
    pub channels: Vec<String>,
    pub created_at: i64,
    #[serde(default)]
    pub finished_at: Option<i64>,
    /// Time left, ms, where it can be told honestly.
    #[serde(default)]
    pub eta_ms: Option<i64>,
}

words!(
    /// Why a queued task is not running.
    WaitReason {
        /// A retry after a back-off.
        Retry = "retry",
        /// The pace of the account: its turn comes at `until`.
        Pace = "pace",
        /// The account is closed until `until` (429 or 503 with Retry-After).
        Closed = "closed",
        /// The gates can't be reached, so nobody may call.
        Gate = "gate",
        /// A machine that starts; no slot is held meanwhile.
        Machine = "machine",
        /// Another running task is about the same thing.
        Lock = "lock",
        /// Sent, no answer: the next attempt asks the service first.
        Checking = "checking",
    }
);

/// What a queued task waits for, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitingFor {
    pub reason: WaitReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// In words, such as what the service answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl WaitingFor {
    /// Makes a detail that may quote an outside service fit to be kept.
    #[must_use]
    pub fn clean(self) -> Self {
        let detail = self.detail.map(|detail| text::OUTCOME_MESSAGE.clean(&detail));
        Self { detail, ..self }
    }
}

/// How a task or an attempt ended, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// One word for programs: `created`, `found`, `rejected`, `superseded`,
    /// `timeout`, `panic`, `http_500` …
    pub code: String,
    /// One sentence for people: what happened and what to do.
    pub message: String,
    /// The service's own id of what was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Outcome {
    /// Makes texts that may come from an outside service fit to be kept.
    #[must_use]
    pub fn clean(self) -> Self {
        Self {
            code: text::OUTCOME_CODE.clean(&self.code),
            message: text::OUTCOME_MESSAGE.clean(&self.message),
            reference: self.reference.map(|id| text::OUTCOME_REFERENCE.clean(&id)),
        }
    }
}

/// One unit of work of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Task {
    pub id: TaskId,
    pub job: JobId,
    /// Of the command, such as `product.upload`.
    pub kind: String,
    /// What it is about; see the command.
    pub key: String,
    /// Place in the job: the row of the grid, from 0.
    pub row: u32,
    /// Of the product or the machine, for people.
    pub title: String,
    #[serde(default)]
    pub channel: Option<String>,
    /// SKU of the product, or the machine's id.
    pub sku: String,
    pub state: TaskState,
    pub attempt: u32,
    /// The last attempt may have had its effect.
    #[serde(default)]
    pub unsure: bool,
    /// The task that caused it.
    #[serde(default)]
    pub cause: Option<TaskId>,
    #[serde(default)]
    pub outcome: Option<Outcome>,
    #[serde(default)]
    pub waiting_for: Option<WaitingFor>,
    pub updated_at: i64,
}

/// One try at a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted from 1; tries that cost nothing (429, a lost worker) have the
    /// number of the attempt that they were.
    pub number: u32,
    pub started_at: i64,
    pub ended_at: i64,
    pub worker: String,
    pub outcome: Outcome,
}

/// A task with what was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDetail {
    #[serde(flatten)]
    pub task: Task,
    pub attempts: Vec<Attempt>,
    pub body: Value,
}

/// One page of a list, by keyset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass it as `cursor` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// The answer to a launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    pub job: Job,
}

/// What the user is told about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notification {
    /// `seq` of the fact that it tells of; also its id.
    pub seq: i64,
    pub job: JobId,
    /// `finished` or `needs_person`.
    pub kind: String,
    pub title: String,
    pub text: String,
    pub at: i64,
    pub read: bool,
}

/// The user's notifications, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    pub items: Vec<Notification>,
    pub unread: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRead {
    /// All notifications up to this `seq` are read.
    pub up_to: i64,
}

/// A sales channel, or another external account that work is paced for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    pub id: String,
    pub name: String,
    /// Requests a second that the account allows.
    pub rate: f64,
    /// The rate that the gate uses now, requests a second.
    pub pace: f64,
    /// Nobody calls the account before.
    #[serde(default)]
    pub closed_until: Option<i64>,
    /// What the service answered when it closed: `http_429`, `http_503`, or a
    /// code of its own.
    #[serde(default)]
    pub closed_by: Option<String>,
    /// Calls under way.
    pub in_flight: u32,
    /// Queued tasks of all users.
    pub waiting: u32,
    pub sandbox: bool,
}

/// An EC2 machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub name: String,
    /// `stopped`, `pending`, `running` …, as EC2 names them.
    pub state: String,
    pub instance_type: String,
    pub zone: String,
}

/// Which failed tasks to queue again: some, a channel's, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryWhich {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<TaskId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

words!(
    /// A person's word about a task of which nobody can tell.
    ResolveAs {
        Done = "done",
        Again = "again",
    }
);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {
    #[serde(rename = "as")]
    pub how: ResolveAs,
}

/// [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Bad rows of a file (422): the first 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<BadRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_total: Option<u64>,
}
