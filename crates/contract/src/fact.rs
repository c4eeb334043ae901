//! Facts: events that say what happened, named in the past tense.
//!
//! A fact carries the absolute new state of the job or task that it is about,
//! and the job's counters, so that applying it twice does no harm and a reader
//! that starts late needs no history.

use crate::{
    JobId, TaskId,
    api::{Job, Notification, Task},
    state::string_enum,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

string_enum!(
    /// Kind of a fact: what happened.
    FactKind {
        /// A job was accepted with all its tasks.
        JobAccepted = "job.accepted",
        /// The job was paused: running attempts finish, nothing new starts.
        JobPaused = "job.paused",
        /// The job was resumed: its queued tasks start again.
        JobResumed = "job.resumed",
        /// A cancel was requested: every queued task that can't have had an effect is
        /// cancelled by the same commit, running attempts still finish, and a task whose outcome is
        /// unknown is reconciled.
        JobCancelling = "job.cancelling",
        /// Tasks that had ended were queued again; the job runs again.
        JobReopened = "job.reopened",
        /// The job has no open task any more.
        JobFinished = "job.finished",
        /// A task caused another one: the chain continues.
        TaskCreated = "task.created",
        /// The task is back in the queue: for a retry or a wait, after the loss
        /// of its worker, or because a person chose to retry it. `waiting_for`
        /// of the task says which; a person's retry has none, nor has a superseded task that was
        /// found not to be done.
        TaskRequeued = "task.requeued",
        /// The task succeeded.
        TaskSucceeded = "task.succeeded",
        /// The task failed for good; it can be retried.
        TaskFailed = "task.failed",
        /// The service refuses the content of the task; it has to be corrected.
        TaskRejected = "task.rejected",
        /// The task was cancelled.
        TaskCancelled = "task.cancelled",
        /// It is unknown whether the effect happened: a person decides.
        TaskNeedsReview = "task.needs_review",
        /// The user read notifications; all open tabs mark them as read.
        NotificationsRead = "notifications.read",
    }
);

/// One entry of a user's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fact {
    /// Sequence number in the user's journal, from 1 without gaps.
    pub seq: i64,
    /// Id of the fact, a UUIDv7.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "uuid")))]
    pub id: Uuid,
    /// What happened.
    pub kind: FactKind,
    /// Job that the fact is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Task that the fact is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Time of the change, by the database's clock.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub at: i64,
    /// Trace of what caused the fact, see
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header): the request
    /// of a person, or the attempt at a task. Pages ignore it.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    #[cfg_attr(target_arch = "wasm32", serde(skip))]
    pub traceparent: Option<String>,
    /// The new state.
    pub data: FactData,
}

/// Content of a fact. A reader ignores fields that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FactData {
    /// The job after the change, with its counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The task after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Number of tasks that changed with this one fact (cancel, retry).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Notification for the user, if the fact is worth one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<Notification>,
    /// `seq` up to which all notifications are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_up_to: Option<i64>,
}
