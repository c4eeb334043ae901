//! Types that `/api/v1` and the pages read and write. Times are by the database's clock: UTC, ms
//! since 1970 in Rust, and texts of RFC 3339 in JSON, see [`timestamp`](crate::timestamp).

mod accounts;
mod audit;
mod channel;
mod estimate;
mod grid;
mod launch;
mod machine;

pub use accounts::*;
pub use audit::*;
pub use channel::*;
pub use estimate::*;
pub use grid::*;
pub use launch::*;
pub use machine::*;

use crate::{
    JobId, TaskId,
    feed::{BadRow, LeftOut, Question},
    state::{Counts, Effect, JobKind, JobState, TaskState, string_enum},
    text,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A job: work that a user launched at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Job {
    /// Id of the job.
    pub id: JobId,
    /// Kind of work.
    pub kind: JobKind,
    /// Title for people, such as the file's name or the machines' names.
    pub title: String,
    /// State of the job.
    pub state: JobState,
    /// Whether no further tasks start.
    pub paused: bool,
    /// Whether the user has requested a cancel.
    pub cancel_requested: bool,
    /// Counters of its tasks.
    #[serde(flatten)]
    pub counts: Counts,
    /// Channels of an upload, in the order of the grid's columns; empty for
    /// other kinds.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Number of data rows of the uploaded file; 0 for other kinds.
    #[serde(default)]
    pub file_rows: u32,
    /// Number of rows of the file that were left out; see
    /// `GET /api/v1/jobs/{id}/left-out`.
    #[serde(default)]
    pub left_out: u32,
    /// Time of the launch.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub created_at: i64,
    /// Time at which its last open task ended.
    #[serde(default, with = "crate::timestamp::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub finished_at: Option<i64>,
    /// Estimated remaining time, in milliseconds; `null` where no honest
    /// estimate is possible.
    #[serde(default)]
    pub eta_ms: Option<i64>,
    /// Shortest remaining time that is likely, in milliseconds, beside `eta_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_min_ms: Option<i64>,
    /// Longest remaining time that is likely, in milliseconds, beside `eta_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_max_ms: Option<i64>,
}

impl Job {
    /// Returns the job with its estimated remaining time.
    #[must_use]
    pub fn with_eta(self, eta: Option<DurationRange>) -> Self {
        Self {
            eta_ms: eta.map(DurationRange::middle_ms),
            eta_min_ms: eta.map(|range| range.min_ms),
            eta_max_ms: eta.map(|range| range.max_ms),
            ..self
        }
    }

    /// Returns the range of the estimated remaining time.
    #[must_use]
    pub fn eta(&self) -> Option<DurationRange> {
        Some(DurationRange { min_ms: self.eta_min_ms?, max_ms: self.eta_max_ms? })
    }
}

string_enum!(
    /// Reason for which a queued task is not running.
    WaitReason {
        /// The task is retried after a back-off.
        Retry = "retry",
        /// The upstream's rate limit: the task's turn comes at `until`.
        RateLimit = "rate_limit",
        /// The upstream is in a cooldown until `until` (429, or 503 with
        /// Retry-After).
        Cooldown = "cooldown",
        /// An admin has paused the upstream until `until`.
        Paused = "paused",
        /// The rate limiter can't be reached, so nobody may call.
        LimiterUnavailable = "limiter_unavailable",
        /// A machine is starting; the task occupies no concurrency slot meanwhile.
        Machine = "machine",
        /// Another running task is about the same thing.
        KeyInUse = "key_in_use",
        /// Nobody knows whether the effect has happened, or whether it still will: the next
        /// attempt finds out first.
        Checking = "checking",
    }
);

/// Reason for which a queued task waits, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitingFor {
    /// Reason of the wait.
    pub reason: WaitReason,
    /// End of the wait, where it is known.
    #[serde(default, with = "crate::timestamp::optional", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub until: Option<i64>,
    /// Details for people, such as the service's last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl WaitingFor {
    /// Cleans the detail, which may quote an external service, for storage.
    #[must_use]
    pub fn clean(self) -> Self {
        let detail = self.detail.map(|detail| text::OUTCOME_MESSAGE.clean(&detail));
        Self { detail, ..self }
    }
}

/// Outcome of a task or an attempt, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// One word for programs: `created`, `found`, `rejected`, `superseded`,
    /// `timeout`, `panic`, `http_500` …
    pub code: String,
    /// One sentence for people: what happened and what to do.
    pub message: String,
    /// The service's own id of what it created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Outcome {
    /// Creates an outcome without a reference.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), reference: None }
    }

    /// Adds the service's own id of what it created.
    #[must_use]
    pub fn with_reference(self, reference: impl Into<String>) -> Self {
        Self { reference: Some(reference.into()), ..self }
    }

    /// Cleans the texts, which may come from an external service, for storage.
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
    /// Id of the task.
    pub id: TaskId,
    /// Job of the task.
    pub job: JobId,
    /// Kind of its command, such as `product.upload`.
    pub kind: String,
    /// Key of the thing that it is about; see the command.
    pub key: String,
    /// Row of the job's grid, from 0.
    pub row: u32,
    /// Title of the product or name of the machine, for people.
    pub title: String,
    /// Channel of an upload.
    #[serde(default)]
    pub channel: Option<String>,
    /// SKU of the product, or id of the machine.
    pub sku: String,
    /// State of the task.
    pub state: TaskState,
    /// What the success changed at the service, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Number of attempts so far, the running one included.
    pub attempt: u32,
    /// Whether the last attempt may have had its effect.
    #[serde(default)]
    pub outcome_unknown: bool,
    /// Task that caused it.
    #[serde(default)]
    pub cause: Option<TaskId>,
    /// Outcome of the task, or of its last attempt.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Reason for which the queued task waits.
    #[serde(default)]
    pub waiting_for: Option<WaitingFor>,
    /// Time of the last change.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub updated_at: i64,
}

/// One attempt at a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// Number of the attempt, from 1. One that was refunded (429, a lost worker)
    /// has the number that it had while it ran.
    pub number: u32,
    /// Time at which it started.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub started_at: i64,
    /// Time at which it ended.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub ended_at: i64,
    /// Name of the worker.
    pub worker: String,
    /// Outcome of the attempt.
    pub outcome: Outcome,
}

/// A task with its attempts and its command's body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Body of its command.
    pub body: Value,
    /// Time at which an admin last edited the command.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::timestamp::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub edited_at: Option<i64>,
}

/// One page of a list, with keyset pagination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "{T}Page"))]
pub struct Page<T> {
    /// Entries of the page.
    pub items: Vec<T>,
    /// Value of the parameter `cursor`, or `after`, for the next page; `null` on the last one.
    /// An operation without such a parameter has one page only.
    pub next: Option<String>,
}

/// Response to a launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LaunchResponse {
    /// The new job.
    pub job: Job,
}

string_enum!(
    /// What a notification tells the user.
    NotificationKind {
        /// A job has finished.
        Finished = "finished",
        /// A job has finished, and some of its tasks need review.
        NeedsReview = "needs_review",
    }
);

/// A notification for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notification {
    /// `seq` of the fact that caused it; also its id.
    pub seq: i64,
    /// Job that it is about.
    pub job: JobId,
    /// What it tells the user.
    pub kind: NotificationKind,
    /// Title for people.
    pub title: String,
    /// Text for people.
    pub text: String,
    /// Time of the fact.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub at: i64,
    /// Whether the user has read it.
    pub read: bool,
}

/// The user's notifications, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inbox {
    /// The newest notifications.
    pub items: Vec<Notification>,
    /// Number of unread notifications among them.
    pub unread: u32,
}

/// Request to mark notifications as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// `seq` up to which all notifications are read.
    pub up_to: i64,
}

string_enum!(
    /// State of tasks that may succeed if they are queued again.
    RetryState {
        /// Failed tasks.
        Failed = "failed",
        /// Cancelled tasks.
        Cancelled = "cancelled",
    }
);

/// Request to queue tasks again that have ended: some, a channel's, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Failed, rejected and cancelled tasks to queue again; without it all tasks in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<TaskId>>,
    /// State of the tasks where `tasks` doesn't name them; `failed` by default. Rejected
    /// tasks are queued again only by name, because they would be rejected again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RetryState>,
    /// Channel whose tasks to queue again; without it those of all channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

string_enum!(
    /// A person's decision about a task whose outcome is unknown.
    Resolution {
        /// The effect happened: the task succeeded.
        Succeeded = "succeeded",
        /// The effect did not happen: queue the task again.
        Retry = "retry",
    }
);

/// Request to resolve a task that needs review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The person's decision.
    #[serde(rename = "as")]
    pub resolution: Resolution,
}

/// [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// Type of the problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// Title of the problem.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What happened and what to do, for people.
    pub detail: String,
    /// The first 1,000 bad rows of a file (422).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad_rows: Vec<BadRow>,
    /// Number of all bad rows of the file (422).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_row_count: Option<u64>,
    /// Rows of a file that are left out by rule (422).
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
    /// Questions about a file that must be answered first (422).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
}
