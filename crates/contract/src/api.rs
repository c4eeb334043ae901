//! What `/api/v1` and the pages read and write. Times are UTC, ms since
//! 1970, by the database's clock.

use crate::{
    JobId, TaskId, TokenId, UserId,
    feed::{BadRow, Delimiter, Format, Note},
    product::Product,
    state::{Counts, JobKind, JobState, TaskState, words},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

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

/// One row of the grid: a product (or a machine) and its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridRow {
    pub row: u32,
    pub sku: String,
    pub title: String,
    /// In the order of the job's channels (uploads), or of the chain.
    pub cells: Vec<Task>,
}

/// A window into the grid, by place among the rows that match a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// How many rows match in all.
    pub matching: u32,
    pub offset: u32,
    pub rows: Vec<GridRow>,
}

words!(
    /// Which rows of the grid are shown: those with at least one such task.
    Filter {
        All = "all",
        Failed = "failed",
        Running = "running",
        Waiting = "waiting",
        NeedsPerson = "needs_person",
        Succeeded = "succeeded",
        Cancelled = "cancelled",
    }
);

/// The chain of a job as a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Causes before what they cause.
    pub nodes: Vec<FlowNode>,
    pub edges: Vec<FlowEdge>,
}

/// Tasks of one kind, and of one channel where the kind has channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowNode {
    pub kind: String,
    #[serde(default)]
    pub channel: Option<String>,
    /// Causes between a launch and these tasks: 0 for what was launched.
    pub depth: u32,
    pub queued: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub needs_person: u32,
}

impl FlowNode {
    pub const fn total(&self) -> u32 {
        self.queued
            + self.running
            + self.succeeded
            + self.failed
            + self.cancelled
            + self.needs_person
    }
}

/// How many tasks of one node were caused by those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEdge {
    /// Places in [`Flow::nodes`].
    pub from: u32,
    pub to: u32,
    pub count: u32,
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

/// What the server understood of a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    pub file: String,
    pub format: Format,
    pub delimiter: Delimiter,
    /// Data rows of the file.
    pub rows: u64,
    pub products: u64,
    pub variants: u64,
    /// The first 1,000.
    pub bad: Vec<BadRow>,
    pub bad_total: u64,
    pub notes: Vec<Note>,
    /// The first products, as they would be sent.
    pub preview: Vec<Product>,
    /// For all channels together, limited by the slowest.
    #[serde(default)]
    pub estimate: Option<Estimate>,
}

/// How long an upload would take now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub ms: i64,
    /// Name of the channel that takes longest.
    pub limited_by: String,
}

impl Estimate {
    /// The slowest channel decides: until it opens, the calls before the last
    /// one, and that one's answer. `channels` come with the latency of a call,
    /// ms; `now` is UTC ms.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn of<'a>(
        channels: impl IntoIterator<Item = (&'a Channel, i64)>,
        products: u64,
        now: i64,
    ) -> Option<Self> {
        let times = channels.into_iter().map(|(channel, latency)| {
            let closed = channel.closed_until.map_or(0, |until| (until - now).max(0));
            // Users take turns: of what waits already, as much again as one's
            // own goes before it at the most.
            let calls = products + u64::from(channel.waiting).min(products);
            let pace = channel.pace.max(0.001);
            let ms = closed + (calls as f64 / pace * 1000.0) as i64 + latency;
            Self { ms, limited_by: channel.name.clone() }
        });
        times.max_by_key(|estimate| estimate.ms)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartInstances {
    pub instance_ids: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNoops {
    pub count: u32,
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

words!(
    /// What an account may do.
    Role {
        User = "user",
        Admin = "admin",
    }
);

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub role: Role,
    pub disabled: bool,
    pub created_at: i64,
    /// The last request, to the minute; `None` before the first.
    pub seen_at: Option<i64>,
}

/// A one-time link to an account of one's own, which nobody has used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub id: Uuid,
    pub email: String,
    pub role: Role,
    pub created_at: i64,
    pub expires_at: i64,
}

/// A browser or program in which someone is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub created_at: i64,
    /// The last request, to the minute.
    pub seen_at: i64,
    /// The one that asks.
    pub own: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct SignIn {
    pub email: String,
    pub password: String,
}

/// A program's right to act as its user, until it is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    pub created_at: i64,
    /// To the minute; `null`: never.
    #[serde(default)]
    pub last_used_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// What it is for, 1 to 80 characters.
    pub name: String,
}

/// A token with its secret, which is told this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeToken {
    #[serde(flatten)]
    pub token: Token,
    /// For `Authorization: Bearer …`.
    pub secret: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str, pace: f64) -> Channel {
        Channel {
            id: name.to_lowercase(),
            name: name.into(),
            rate: pace,
            pace,
            closed_until: None,
            closed_by: None,
            in_flight: 0,
            waiting: 0,
            sandbox: true,
        }
    }

    #[test]
    fn an_estimate_is_the_slowest_channels() {
        let (acme, mut bazaar) = (channel("Acme", 2.0), channel("Bazaar", 1.6));
        let of = |channels: &[(&Channel, i64)]| {
            let estimate = Estimate::of(channels.iter().copied(), 160, 1_000);
            estimate.map(|estimate| (estimate.ms, estimate.limited_by))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(&acme, 4_000), (&bazaar, 3_000)]), Some((103_000, "Bazaar".into())));
        bazaar.waiting = 16;
        bazaar.closed_until = Some(6_000);
        assert_eq!(of(&[(&acme, 4_000), (&bazaar, 3_000)]), Some((118_000, "Bazaar".into())));
        bazaar.closed_until = Some(0);
        assert_eq!(of(&[(&bazaar, 3_000)]), Some((113_000, "Bazaar".into())));
    }
}
