//! Frames of the WebSocket at `/ws`: JSON texts, one stream a user.

use crate::{
    JobId, TaskId,
    api::{Channel, Job},
    fact::Fact,
};
use serde::{Deserialize, Serialize};

/// Version of the protocol that a client names in `hello`.
pub const VERSION: u16 = 1;
/// A client says `hello` within this time, ms.
pub const HELLO_TIMEOUT_MS: u64 = 15_000;
/// The server pings this often, s.
pub const PING_S: u32 = 25;
/// A client closes after this silence, ms.
pub const SILENCE_MS: u64 = 35_000;
/// A larger gap is not replayed: the client refetches its page. Facts.
pub const MAX_GAP: i64 = 5_000;
/// Progress frames of one job come at most this often, ms.
pub const PROGRESS_EVERY_MS: u64 = 100;
/// A larger inbound message closes the socket. Bytes.
pub const MAX_INBOUND: usize = 4 * 1024;

/// Why the server closed; the client's next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Close {
    /// No session, or it ended: sign in.
    SignIn = 4001,
    /// Not allowed: don't retry.
    Forbidden = 4003,
    /// The client broke the protocol: don't retry.
    Protocol = 4009,
    /// Too many sockets of one user or address: don't retry.
    Limit = 4029,
    /// The client reads too slowly: back off and resume.
    TooSlow = 4108,
    /// The server has no room: back off and resume.
    Overloaded = 4113,
    /// The server goes away: reconnect now.
    GoingAway = 4200,
}

/// What a client does about a closed socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    BackOff,
    Now,
}

impl Close {
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// What a close code, ours or the browser's own, asks a client to do.
    pub const fn retry(code: u16) -> Retry {
        match code {
            4000..=4099 => Retry::Never,
            4200..=4299 => Retry::Now,
            _ => Retry::BackOff,
        }
    }
}

/// Client → server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    Hello {
        v: u16,
        /// The database's epoch that `after` belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<String>,
        /// The last `seq` that the client has; without it the stream starts
        /// at the head.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<i64>,
    },
    Pong,
}

/// Server → client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
// A frame lives for one encoding or decoding: boxing would cost more.
#[allow(clippy::large_enum_variant)]
pub enum ServerFrame {
    Welcome {
        epoch: String,
        /// The head of the journal.
        seq: i64,
        /// False: the gap can't be replayed, refetch the page and go on
        /// from `seq`.
        recovered: bool,
        ping_s: u32,
        /// Tasks that run now.
        running: Vec<TaskId>,
    },
    /// In order, never dropped.
    Fact(Fact),
    /// A task's call began. No seq, latest wins.
    Started(Started),
    /// A job's figures between facts. No seq, latest wins.
    Progress(Progress),
    /// A channel's pace or closing changed. No seq, latest wins.
    Channel(Channel),
    Ping {
        seq: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub task: TaskId,
    pub job: JobId,
    pub attempt: u32,
    /// UTC, ms since 1970.
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub job: JobId,
    /// The job with its counters and its time left.
    pub status: Job,
    /// Tasks of the job whose calls are under way.
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
    fn frames_are_spelled_as_the_protocol_says() {
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
    fn close_codes_say_what_to_do() {
        for (close, retry) in [
            (Close::SignIn, Retry::Never),
            (Close::Limit, Retry::Never),
            (Close::TooSlow, Retry::BackOff),
            (Close::Overloaded, Retry::BackOff),
            (Close::GoingAway, Retry::Now),
        ] {
            assert_eq!(Close::retry(close.code()), retry);
        }
        assert_eq!(Close::retry(1006), Retry::BackOff);
    }
}
