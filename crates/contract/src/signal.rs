//! Signals: events between processes that no journal keeps. A signal that gets lost is made
//! up for: the next fact of the task, or the check of a session, says the same.

use crate::state::string_enum;
use serde::{Deserialize, Serialize};

string_enum!(
    /// Kind of a signal.
    SignalKind {
        /// A worker has started an attempt at a task: [`TaskStarted`](crate::websocket::TaskStarted).
        TaskStarted = "task.started",
        /// A user was signed out: [`SessionEnded`].
        SessionEnded = "session.ended",
    }
);

/// A user was signed out, so their WebSockets have to be closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionEnded {
    /// Hash of the session's token; `null` for all sessions of the user.
    pub session: Option<String>,
}
