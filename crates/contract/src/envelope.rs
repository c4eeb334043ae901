//! [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md),
//! structured JSON mode, around a command or a fact.

use crate::{JobId, TaskId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Media type of a structured CloudEvent.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Media type of a batch of CloudEvents in one message.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// A CloudEvent: a message as it is in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope {
    /// Version of CloudEvents: `1.0`.
    pub specversion: String,
    /// Id of the message. For a command task id and fence, see [`CommandMessage::id`].
    pub id: String,
    /// Kind and version of the event, such as `product.upload.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Part of the system that sent the message, such as `/meanwhile/relay`.
    pub source: String,
    /// Id of the task or the user that the event is about.
    pub subject: String,
    /// Time of the message (`at`, in `ms`): UTC, milliseconds since 1970. The name has
    /// no underscore, because names of CloudEvents attributes consist of lower-case
    /// letters and digits. An extension: CloudEvents' own `time` would be missing in messages
    /// that an older process sent. Times in `data` are texts.
    pub atms: i64,
    /// Media type of `data`: `application/json`.
    pub datacontenttype: String,
    /// Trace of what caused the message, a request or an attempt at a task, see
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Content of the event.
    pub data: Value,
}

/// A command on its way from the relay to a worker: which task, and which
/// publication of it. The database has the truth about the task; a message in a
/// queue only notifies a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandMessage {
    /// Id of the task.
    pub task: TaskId,
    /// Job of the task.
    pub job: JobId,
    /// User who owns the job.
    pub user: UserId,
    /// Fence of the task at its publication. A claim succeeds only while it is
    /// the task's fence.
    pub fence: i64,
    /// Kind of the command, such as `product.upload`.
    pub kind: String,
    /// Version of the body.
    pub version: u16,
    /// Name of the queue.
    pub queue: String,
    /// Trace of what caused the task: a request, or an attempt at another task.
    pub traceparent: Option<String>,
    /// Body of the command.
    pub body: Value,
}

/// Reason for which a message is not a readable command.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The message is not JSON, or lacks a field, or has one of another type.
    #[error("the JSON can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The version of CloudEvents is not supported.
    #[error("specversion {0:?} is not 1.0")]
    SpecVersion(String),
    /// The type is not a kind and a version.
    #[error("type {0:?} is not <kind>.v<version>")]
    Kind(String),
    /// The message lacks what it is about.
    #[error("the message lacks {0}")]
    Data(&'static str),
}

/// `data` of a command: its body and the task that it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CommandData {
    /// Id of the task.
    pub task: TaskId,
    /// Job of the task.
    pub job: JobId,
    /// User who owns the job.
    pub user: UserId,
    /// Fence of the task at its publication.
    pub fence: i64,
    /// Body of the command.
    pub body: Value,
}

impl CommandMessage {
    /// Returns `<task>:<fence>`: the same for a message that is delivered twice, another
    /// once something has raised the fence to have the task published again.
    pub fn id(&self) -> String {
        format!("{}:{}", self.task, self.fence)
    }

    /// Encodes the command as a message of a queue. `at` is UTC, ms since 1970.
    ///
    /// # Errors
    /// The command can't be written as JSON.
    pub fn encode(&self, at: i64) -> Result<Vec<u8>, EnvelopeError> {
        let data = serde_json::to_value(CommandData {
            task: self.task,
            job: self.job,
            user: self.user,
            fence: self.fence,
            body: self.body.clone(),
        })?;
        Ok(serde_json::to_vec(&Envelope {
            specversion: "1.0".into(),
            id: self.id(),
            kind: format!("{}.v{}", self.kind, self.version),
            source: "/meanwhile/relay".into(),
            subject: self.task.to_string(),
            atms: at,
            datacontenttype: "application/json".into(),
            traceparent: self.traceparent.clone(),
            data,
        })?)
    }

    /// Decodes a message of the queue `queue`.
    ///
    /// # Errors
    /// The message is not JSON, not a CloudEvent 1.0, or not a command.
    pub fn decode(queue: &str, bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let envelope: Envelope = serde_json::from_slice(bytes)?;
        if envelope.specversion != "1.0" {
            return Err(EnvelopeError::SpecVersion(envelope.specversion));
        }
        let Some((kind, version)) = envelope
            .kind
            .rsplit_once(".v")
            .and_then(|(kind, version)| Some((kind.to_owned(), version.parse().ok()?)))
        else {
            return Err(EnvelopeError::Kind(envelope.kind));
        };
        let data: CommandData = serde_json::from_value(envelope.data)?;
        Ok(Self {
            task: data.task,
            job: data.job,
            user: data.user,
            fence: data.fence,
            kind,
            version,
            queue: queue.into(),
            traceparent: envelope.traceparent,
            body: data.body,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn message() -> CommandMessage {
        CommandMessage {
            task: TaskId(Uuid::from_u128(1)),
            job: JobId(Uuid::from_u128(2)),
            user: UserId(Uuid::from_u128(3)),
            fence: 4,
            kind: "product.upload".into(),
            version: 1,
            queue: "q".into(),
            traceparent: None,
            body: json!({"channel": "acme"}),
        }
    }

    #[test]
    fn a_command_round_trips() {
        let bytes = message().encode(1_700_000_000_000).unwrap();
        assert_eq!(CommandMessage::decode("q", &bytes).unwrap(), message());
        let wire: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(wire["type"], "product.upload.v1");
        assert_eq!(wire["id"], format!("{}:4", message().task));
    }

    #[test]
    fn malformed_envelopes_are_rejected_with_a_reason() {
        for (bytes, words) in [
            (&b"{"[..], "the JSON can't be read"),
            (br#"{"specversion":"0.3","id":"1","type":"a.v1","source":"s","subject":"x","atms":1,"datacontenttype":"j","data":{}}"#, "specversion"),
            (br#"{"specversion":"1.0","id":"1","type":"a","source":"s","subject":"x","atms":1,"datacontenttype":"j","data":{}}"#, "type"),
            (br#"{"specversion":"1.0","id":"1","type":"a.v1","source":"s","subject":"x","atms":1,"datacontenttype":"j","data":{}}"#, "task"),
        ] {
            let error = CommandMessage::decode("q", bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
