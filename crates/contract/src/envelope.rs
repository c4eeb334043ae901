//! [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md),
//! structured JSON mode, around a command or a fact.

use crate::{JobId, TaskId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The media type of a structured CloudEvent.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// The media type of several in one message.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// A message as it lies in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope {
    pub specversion: String,
    /// Commands: task id and fence, see [`Dispatch::message_id`].
    pub id: String,
    /// The event's kind and version, such as `product.upload.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    /// The task or the user that the event is about.
    pub subject: String,
    /// UTC, ms since 1970. An extension: CloudEvents' own `time` is a text
    /// that every reader would have to parse back.
    pub atms: i64,
    pub datacontenttype: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    pub data: Value,
}

/// A command on its way from the relay to a worker: which task, and which
/// delivery of it. The truth about the task is in the database; what lies in
/// a queue is only the doorbell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatch {
    pub task: TaskId,
    pub job: JobId,
    pub user: UserId,
    /// A claim succeeds only while this is the task's fence.
    pub fence: i64,
    pub kind: String,
    pub version: u16,
    pub queue: String,
    pub traceparent: Option<String>,
    pub body: Value,
}

/// Why a message can't be read as a command.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("specversion {0:?} is not 1.0")]
    SpecVersion(String),
    #[error("type {0:?} is not <kind>.v<version>")]
    Kind(String),
    #[error("data lacks {0}")]
    Data(&'static str),
}

/// The body around a command's own: where it belongs.
#[derive(Serialize, Deserialize)]
struct CommandData {
    task: TaskId,
    job: JobId,
    user: UserId,
    fence: i64,
    body: Value,
}

impl Dispatch {
    /// Task id and fence: the same for a message that is delivered twice,
    /// another one for each time that the task is published anew.
    pub fn message_id(&self) -> String {
        format!("{}:{}", self.task, self.fence)
    }

    /// As the bytes that go into a queue. `at` is UTC, ms since 1970.
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
            id: self.message_id(),
            kind: format!("{}.v{}", self.kind, self.version),
            source: "/meanwhile/relay".into(),
            subject: self.task.to_string(),
            atms: at,
            datacontenttype: "application/json".into(),
            traceparent: self.traceparent.clone(),
            data,
        })?)
    }

    /// From the bytes of a queue named `queue`.
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

    fn dispatch() -> Dispatch {
        Dispatch {
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
    fn a_dispatch_survives_the_wire() {
        let bytes = dispatch().encode(1_700_000_000_000).unwrap();
        assert_eq!(Dispatch::decode("q", &bytes).unwrap(), dispatch());
        let wire: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(wire["type"], "product.upload.v1");
        assert_eq!(wire["id"], format!("{}:4", dispatch().task));
    }

    #[test]
    fn what_cannot_be_parsed_says_why() {
        for (bytes, words) in [
            (&b"{"[..], "not JSON"),
            (br#"{"specversion":"0.3","id":"1","type":"a.v1","source":"s","subject":"x","atms":1,"datacontenttype":"j","data":{}}"#, "specversion"),
            (br#"{"specversion":"1.0","id":"1","type":"a","source":"s","subject":"x","atms":1,"datacontenttype":"j","data":{}}"#, "type"),
            (br#"{"specversion":"1.0","id":"1","type":"a.v1","source":"s","subject":"x","atms":1,"datacontenttype":"j","data":{}}"#, "task"),
        ] {
            let error = Dispatch::decode("q", bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
