//! Facts: events that say what happened, in the past tense.
//!
//! A fact carries the absolute new state of what it tells of, and the job's
//! counters, so that applying it twice does no harm and a reader that starts
//! late needs no history.

use crate::{
    JobId, TaskId,
    api::{Job, Notification, Task},
    state::words,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

words!(
    /// What a fact tells of.
    FactKind {
        JobAccepted = "job.accepted",
        JobPaused = "job.paused",
        JobResumed = "job.resumed",
        /// A cancel was asked for: every queued task is cancelled by the
        /// same commit, running calls still finish.
        JobCancelling = "job.cancelling",
        /// Failed tasks were queued again; the job runs again.
        JobReopened = "job.reopened",
        JobFinished = "job.finished",
        /// A task caused another one: the chain goes on.
        TaskCreated = "task.created",
        /// Back in the queue: a retry, a wait, a lost worker, a person's
        /// "again". `waiting_for` of the task says which.
        TaskRequeued = "task.requeued",
        TaskSucceeded = "task.succeeded",
        TaskFailed = "task.failed",
        TaskCancelled = "task.cancelled",
        TaskNeedsPerson = "task.needs_person",
        /// Read on one tab is read on all.
        NotificationsRead = "notifications.read",
    }
);

/// One entry of a user's journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fact {
    /// The user's own sequence: without holes, from 1.
    pub seq: i64,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub id: Uuid,
    pub kind: FactKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// UTC, ms since 1970, by the database's clock.
    pub at: i64,
    pub data: FactData,
}

/// What a fact says; a reader ignores fields that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FactData {
    /// The job after the change, with its counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The task after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// How many tasks changed with this one fact (cancel, retry).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What the user is told, where the fact is worth telling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<Notification>,
    /// All notifications up to this `seq` are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_up_to: Option<i64>,
}
