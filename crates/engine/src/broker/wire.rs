//! News as CloudEvents: one message a fact.

use super::{Error, News};
use crate::store;
use contract::{
    JobId, TaskId, UserId,
    envelope::{Envelope, EnvelopeError},
    fact::Fact,
    live::Started,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

const STARTED: &str = "task.started";
const SIGNED_OUT: &str = "session.ended";

#[derive(Serialize, Deserialize)]
struct StartedData {
    task: TaskId,
    job: JobId,
    attempt: u32,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct SignedOutData {
    session: Option<String>,
}

/// The messages of `news`, each with its kind. `at` is UTC ms.
pub fn encode(news: &News, node: Uuid, at: i64) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let pack = |kind: &'static str, id: Uuid, user: UserId, data: Value| {
        let envelope = Envelope {
            specversion: "1.0".into(),
            id: id.to_string(),
            kind: format!("{kind}.v1"),
            source: format!("/meanwhile/node/{node}"),
            subject: user.to_string(),
            atms: at,
            datacontenttype: "application/json".into(),
            traceparent: None,
            data,
        };
        Ok((kind, serde_json::to_vec(&envelope).map_err(EnvelopeError::from)?))
    };
    let value = |data: Result<Value, serde_json::Error>| data.map_err(EnvelopeError::from);
    match news {
        News::Facts(news) => news
            .facts
            .iter()
            .map(|fact| {
                pack(fact.kind.as_str(), fact.id, news.user, value(serde_json::to_value(fact))?)
            })
            .collect(),
        News::Started(user, started) => {
            let Started { task, job, attempt, at } = *started;
            let data = value(serde_json::to_value(StartedData { task, job, attempt, at }))?;
            Ok(vec![pack(STARTED, Uuid::now_v7(), *user, data)?])
        }
        News::SignedOut { user, session } => {
            let data = SignedOutData { session: session.clone() };
            let data = value(serde_json::to_value(data))?;
            Ok(vec![pack(SIGNED_OUT, Uuid::now_v7(), *user, data)?])
        }
        // Of this node alone.
        News::Missed => Ok(Vec::new()),
    }
}

/// The node that sent the message, and its news.
pub fn decode(bytes: &[u8]) -> Result<(Uuid, News), EnvelopeError> {
    let envelope: Envelope = serde_json::from_slice(bytes)?;
    let node = envelope.source.rsplit('/').next().and_then(|node| node.parse().ok());
    let node = node.ok_or(EnvelopeError::Data("a node as its source"))?;
    let user = UserId(envelope.subject.parse().map_err(|_| EnvelopeError::Data("a user"))?);
    let news = match envelope.kind.rsplit_once(".v").map(|(kind, _)| kind) {
        Some(STARTED) => {
            let StartedData { task, job, attempt, at } = serde_json::from_value(envelope.data)?;
            News::Started(user, Started { task, job, attempt, at })
        }
        Some(SIGNED_OUT) => {
            let SignedOutData { session } = serde_json::from_value(envelope.data)?;
            News::SignedOut { user, session }
        }
        Some(_) => {
            let fact: Fact = serde_json::from_value(envelope.data)?;
            News::Facts(store::News { user, facts: vec![fact] })
        }
        None => return Err(EnvelopeError::Kind(envelope.kind)),
    };
    Ok((node, news))
}
