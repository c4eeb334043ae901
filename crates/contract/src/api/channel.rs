//! Sales channels and other upstreams: their limits, their load, and what admins do with them.

use crate::{
    JobId, TaskId,
    state::{JobKind, string_enum},
};
use serde::{Deserialize, Serialize};

string_enum!(
    /// Reason for which an upstream is in a cooldown.
    CooldownReason {
        /// It answered 429.
        TooManyRequests = "http_429",
        /// It answered 503 with `Retry-After`.
        ServiceUnavailable = "http_503",
        /// It answered with an error code of its own that asks callers to slow down.
        Throttled = "throttled",
        /// It refused the credentials. Nobody calls it until they may have been mended.
        CredentialsRefused = "credentials_refused",
        /// Its certificate is refused. Nobody calls it until it may have been replaced.
        CertificateRefused = "certificate_refused",
    }
);

impl CooldownReason {
    /// Whether the upstream asks to be called less often. Other reasons are for a person to
    /// mend, and say nothing about the rate.
    #[must_use]
    pub const fn is_throttling(self) -> bool {
        matches!(self, Self::TooManyRequests | Self::ServiceUnavailable | Self::Throttled)
    }
}

/// A pause of an upstream for everybody. It is an admin's, and no answer of the service changes
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpstreamPause {
    /// End of the pause.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub until: i64,
    /// Email address of the admin who paused it.
    pub by: String,
    /// Reason for people; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl UpstreamPause {
    /// Returns who paused it and why, for people: `Paused by ada@example.com: price review.`
    pub fn sentence(&self) -> String {
        let note = self.note.trim_end_matches('.');
        let gap = if note.is_empty() { "" } else { ": " };
        format!("Paused by {}{gap}{note}.", self.by)
    }
}

/// A sales channel with its rate limit and its load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Channel {
    /// Id of the channel, such as `acme`.
    pub id: String,
    /// Name of the channel, for people.
    pub name: String,
    /// Rate that the upstream allows, in requests per second.
    pub rate: f64,
    /// Lower rate that an admin has set, in requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduced_rate: Option<f64>,
    /// Rate that the rate limiter uses now, in requests per second.
    pub current_rate: f64,
    /// End of the cooldown, before which nobody calls the upstream.
    #[serde(default, with = "crate::timestamp::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub cooldown_until: Option<i64>,
    /// Reason of the cooldown, where it is known.
    #[serde(default)]
    pub cooldown_reason: Option<CooldownReason>,
    /// Pause that an admin has set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<UpstreamPause>,
    /// Number of calls in flight.
    pub in_flight: u32,
    /// Number of queued tasks, of all users.
    pub waiting: u32,
    /// Whether the sandbox plays the channel.
    pub sandbox: bool,
}

/// Limit of one kind of calls to an upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpstreamLimit {
    /// Id of the limit, which is the name of its rate limiter: `acme`,
    /// `aws/ops/eu-central-1/ec2.start`.
    pub id: String,
    /// Rate that the configuration allows, in requests per second.
    pub rate: f64,
    /// Lower rate that an admin has set, in requests per second.
    #[serde(default)]
    pub reduced_rate: Option<f64>,
    /// Rate that the rate limiter uses now, in requests per second; `null` while it can't be
    /// reached.
    pub current_rate: Option<f64>,
    /// Number of calls in flight.
    pub in_flight: u32,
    /// End of the cooldown that the service asked for.
    #[serde(default, with = "crate::timestamp::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::timestamp::Rfc3339>"))]
    pub cooldown_until: Option<i64>,
    /// Reason of the cooldown, where it is known.
    #[serde(default)]
    pub cooldown_reason: Option<CooldownReason>,
}

/// A sales channel, or the machines of an account and region, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpstreamStatus {
    /// Id of the upstream: `acme`, `aws.ops.eu-central-1`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Pause that an admin has set.
    #[serde(default)]
    pub pause: Option<UpstreamPause>,
    /// Its limits; a sales channel has one.
    pub limits: Vec<UpstreamLimit>,
    /// Open items: the user's own by job, or everybody's for an admin.
    pub queue: Vec<UpstreamQueueEntry>,
    /// Open items that are in no entry of `queue`.
    pub other_open: u32,
    /// Reasons of the last failed attempts, the newest first: at the user's own items, or at
    /// everybody's for an admin.
    pub errors: Vec<UpstreamError>,
    /// What the last check said.
    #[serde(default)]
    pub last_check: Option<UpstreamCheck>,
}

/// Open items of one job at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpstreamQueueEntry {
    /// The job.
    pub job: JobId,
    /// Kind of its work.
    pub kind: JobKind,
    /// Title of the job.
    pub title: String,
    /// Email address of its owner.
    pub owner: String,
    /// Whether it is the reader's own.
    pub is_own: bool,
    /// Whether the job itself is paused.
    pub paused: bool,
    /// Number of its open items here: waiting and running.
    pub open: u32,
}

/// One reason of failed attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpstreamError {
    /// The reason in words.
    pub message: String,
    /// Number of attempts that it ended, among the last ones that failed.
    pub count: u32,
    /// Time of the last one.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub last_at: i64,
    /// Job and task of the last one, if it is the reader's own.
    #[serde(default)]
    pub last_item: Option<(JobId, TaskId)>,
}

/// What a check of an upstream said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpstreamCheck {
    /// Whether the service answered as it should.
    pub ok: bool,
    /// What it said, or why it can't be used.
    pub says: String,
    /// Time of the check.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub at: i64,
}

/// Request to pause an upstream for everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// End of the pause.
    #[serde(with = "crate::timestamp::strict")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::timestamp::Rfc3339"))]
    pub until: i64,
    /// Reason for people.
    #[serde(default)]
    pub note: String,
}

/// Request to change the pace of an upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PaceRequest {
    /// Requests per second, no more than the configuration allows; `null` for what it says.
    pub rate: Option<f64>,
    /// Id of the limit; needed only if the upstream has several.
    #[serde(default)]
    pub limit: Option<String>,
}
