//! Why a command did not succeed, and the exit codes.

use crate::words;
use contract::{
    JobId,
    api::{Job, Problem},
    state::JobState,
};
use serde_json::Value;
use std::{io, process::ExitCode};

/// Result of a command that did what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Nothing was left undone, or the job still runs.
    Success,
    /// The job has ended, and some of its items did not succeed.
    NotAllSucceeded,
}

impl Completion {
    /// Returns what the state of a job means for the exit code.
    pub fn of(job: &Job) -> Self {
        match job.state {
            JobState::Running | JobState::Succeeded => Self::Success,
            JobState::PartlyFailed | JobState::Failed | JobState::Cancelled => {
                Self::NotAllSucceeded
            }
        }
    }

    /// Returns the exit code.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Success => 0,
            Self::NotAllSucceeded => 1,
        })
    }
}

/// A request that the server refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// HTTP status code.
    pub status: u16,
    /// The server's answer, as it was sent.
    pub body: Value,
    /// The same, if it is problem details of the API.
    pub problem: Option<Problem>,
}

/// Reason for which a command did not do what it was asked to. The text says what happened and
/// what to do, for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments, the environment or a file can't be used.
    #[error("{0}")]
    Usage(String),
    /// The server can't be reached, or does not answer in time.
    #[error("{url} can't be reached: {reason}.")]
    Unreachable {
        /// URL of the server.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A launch was sent, and no answer came.
    #[error(
        "It is not known whether the server accepted the launch: {reason}. Send it again with \
         --idempotency-key {key}, which launches it once only."
    )]
    LaunchUnknown {
        /// What went wrong.
        reason: String,
        /// Idempotency key of the launch.
        key: String,
    },
    /// The server refused the request.
    #[error("{}", words::refusal(.0))]
    Refused(Box<Refusal>),
    /// What was asked for is not possible, for a reason that the text says.
    #[error("{0}")]
    Declined(String),
    /// The answer is not what Meanwhile's API sends.
    #[error("{url} does not answer as Meanwhile does ({reason}). Check the URL and the release.")]
    NotMeanwhile {
        /// URL of the server.
        url: String,
        /// What is unexpected.
        reason: String,
    },
    /// The output can't be written.
    #[error("The output can't be written: {0}.")]
    Output(#[from] io::Error),
    /// The person pressed Ctrl-C while a job was watched.
    #[error("The job goes on. Take it up again with: {}", watch_command(*.job, .profile.as_deref()))]
    WatchInterrupted {
        /// The job.
        job: JobId,
        /// Profile that the command line names.
        profile: Option<String>,
    },
    /// The person pressed Ctrl-C while events were followed.
    #[error("Take the events up again with: meanwhile events --after {after}")]
    EventsInterrupted {
        /// Sequence number of the last event that was printed.
        after: i64,
    },
}

impl Error {
    /// Returns the exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Unreachable { .. }
            | Self::LaunchUnknown { .. }
            | Self::Refused(_)
            | Self::Declined(_)
            | Self::NotMeanwhile { .. }
            | Self::Output(_) => 3,
            Self::WatchInterrupted { .. } | Self::EventsInterrupted { .. } => 130,
        })
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// Returns the command that watches a job.
pub fn watch_command(job: JobId, profile: Option<&str>) -> String {
    let profile = profile.map(|name| format!(" --profile {name}")).unwrap_or_default();
    format!("meanwhile job {job} --watch{profile}")
}
