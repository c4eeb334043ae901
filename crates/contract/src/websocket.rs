//! Frames of the WebSocket at `/ws`: JSON texts, one stream per user.

use crate::{
    JobId, TaskId,
    api::{Channel, Job},
    fact::Fact,
};
use serde::{Deserialize, Serialize};

/// Version of the protocol, which a client sends in `hello`.
pub const PROTOCOL_VERSION: u16 = 1;
/// Time within which a client sends `hello`, in milliseconds.
pub const HELLO_TIMEOUT_MS: u64 = 15_000;
/// Time between two pings of the server, in seconds.
pub const PING_INTERVAL_S: u32 = 25;
/// Time within which a client answers a ping with a pong, in milliseconds. The server
/// closes a socket whose client does not: with [`PING_INTERVAL_S`], within 35 s of the
/// client's last sign of life.
pub const PONG_TIMEOUT_MS: u64 = 8_000;
/// Time without a frame after which a client closes the socket, in milliseconds.
pub const IDLE_TIMEOUT_MS: u64 = 35_000;
/// Maximum number of missed facts that the server replays. After a larger gap
/// the client refetches its page.
pub const MAX_REPLAY_FACTS: i64 = 5_000;
/// Maximum size of a client's message, in bytes. A larger one closes the socket.
pub const MAX_INBOUND_BYTES: usize = 4 * 1024;

/// Reason for which the server closes a socket; the client's next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// There is no session, or it has ended: sign in.
    SignInRequired = 4001,
    /// The client broke the protocol: don't retry.
    ProtocolError = 4009,
    /// Too many sockets of one user or address: don't retry.
    TooManyConnections = 4029,
    /// The client reads too slowly, or answers no ping: back off and resume.
    TooSlow = 4108,
    /// The server can't serve the socket now: back off and resume.
    Overloaded = 4113,
    /// The server is shutting down: reconnect now.
    GoingAway = 4200,
}

/// Whether and when a client reconnects a closed socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectPolicy {
    /// Don't reconnect.
    Never,
    /// Reconnect after a back-off, and resume.
    AfterBackoff,
    /// Reconnect now.
    Immediately,
}

impl CloseCode {
    /// Returns the code of the close frame.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Returns how a client reacts to a close code, which may be the browser's own.
    pub const fn reconnect_policy(code: u16) -> ReconnectPolicy {
        match code {
            4000..=4099 => ReconnectPolicy::Never,
            4200..=4299 => ReconnectPolicy::Immediately,
            _ => ReconnectPolicy::AfterBackoff,
        }
    }
}

/// Frame from the client to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// First frame: subscribes to the user's facts.
    Hello {
        /// [`PROTOCOL_VERSION`] of the client.
        v: u16,
        /// Epoch of the database that `after` belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<String>,
        /// Last `seq` that the client has; without it the stream starts at the
        /// head of the journal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<i64>,
    },
    /// Reply to a ping, due within [`PONG_TIMEOUT_MS`].
    Pong,
}

/// Frame from the server to the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
// A frame lives for one encoding or decoding: boxing would cost more.
#[allow(clippy::large_enum_variant)]
pub enum ServerFrame {
    /// Reply to `hello`.
    Welcome {
        /// Epoch of the database.
        epoch: String,
        /// Head of the journal.
        seq: i64,
        /// False if the gap can't be replayed: refetch the page and continue
        /// from `seq`.
        recovered: bool,
        /// Time between two pings, in seconds.
        ping_s: u32,
        /// Tasks that are running now.
        running: Vec<TaskId>,
    },
    /// An entry of the journal. Facts arrive in order and are never dropped.
    Fact(Fact),
    /// An attempt at a task began. No `seq`; the latest wins.
    Started(TaskStarted),
    /// Progress of a job between facts. No `seq`; the latest wins.
    Progress(JobProgress),
    /// Current rate or cooldown of a channel changed. No `seq`; the latest wins.
    Channel(Channel),
    /// Sign of life, which the client answers with a pong.
    Ping {
        /// `seq` of the last fact that the server sent on this socket.
        seq: i64,
    },
}

/// The start of an attempt at a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskStarted {
    /// The task.
    pub task: TaskId,
    /// Job of the task.
    pub job: JobId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Time of the start.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub at: i64,
}

/// Progress of a job between facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobProgress {
    /// Id of the job.
    pub job: JobId,
    /// The job with its counters and its remaining time.
    pub status: Job,
    /// Number of the job's tasks that are running.
    pub running: u32,
    /// Name of the channel that takes longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_serialize_as_documented() {
        let hello: ClientFrame =
            serde_json::from_str(r#"{"type":"hello","v":1,"epoch":"e","after":123}"#).unwrap();
        assert_eq!(hello, ClientFrame::Hello { v: 1, epoch: Some("e".into()), after: Some(123) });
        assert_eq!(serde_json::to_string(&ClientFrame::Pong).unwrap(), r#"{"type":"pong"}"#);
        assert_eq!(
            serde_json::to_string(&ServerFrame::Ping { seq: 131 }).unwrap(),
            r#"{"type":"ping","seq":131}"#
        );
    }

    #[test]
    fn close_codes_map_to_reconnect_policies() {
        for (close_code, policy) in [
            (CloseCode::SignInRequired, ReconnectPolicy::Never),
            (CloseCode::TooManyConnections, ReconnectPolicy::Never),
            (CloseCode::TooSlow, ReconnectPolicy::AfterBackoff),
            (CloseCode::Overloaded, ReconnectPolicy::AfterBackoff),
            (CloseCode::GoingAway, ReconnectPolicy::Immediately),
        ] {
            assert_eq!(CloseCode::reconnect_policy(close_code.code()), policy);
        }
        assert_eq!(CloseCode::reconnect_policy(1006), ReconnectPolicy::AfterBackoff);
    }
}
