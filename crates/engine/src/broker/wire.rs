//! News as CloudEvents. Facts of one commit that are of one kind share a
//! message, as a batch of events.

use super::News;
use crate::store;
use contract::{
    JobId, TaskId, UserId,
    envelope::{BATCH_CONTENT_TYPE, CONTENT_TYPE, Envelope, EnvelopeError},
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

/// A message: the kind of its events, how it is written, and its bytes.
pub struct Message {
    pub kind: &'static str,
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

/// The messages of `news`. `at` is UTC ms.
pub fn encode(news: &News, node: Uuid, at: i64) -> Result<Vec<Message>, EnvelopeError> {
    let pack = |kind: &'static str, id: Uuid, user: UserId, data: Value| Envelope {
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
    let alone = |kind: &'static str, event: &Envelope| -> Result<Message, EnvelopeError> {
        Ok(Message { kind, content_type: CONTENT_TYPE, bytes: serde_json::to_vec(event)? })
    };
    match news {
        News::Facts(news) => {
            let mut kinds: Vec<(&'static str, Vec<Envelope>)> = Vec::new();
            for fact in &news.facts {
                let kind = fact.kind.as_str();
                let event = pack(kind, fact.id, news.user, serde_json::to_value(fact)?);
                match kinds.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, events)) => events.push(event),
                    None => kinds.push((kind, vec![event])),
                }
            }
            let message = |(kind, events): (&'static str, Vec<Envelope>)| match &events[..] {
                [event] => alone(kind, event),
                events => {
                    let bytes = serde_json::to_vec(events)?;
                    Ok(Message { kind, content_type: BATCH_CONTENT_TYPE, bytes })
                }
            };
            kinds.into_iter().map(message).collect()
        }
        News::Started(user, started) => {
            let Started { task, job, attempt, at } = *started;
            let data = serde_json::to_value(StartedData { task, job, attempt, at })?;
            Ok(vec![alone(STARTED, &pack(STARTED, Uuid::now_v7(), *user, data))?])
        }
        News::SignedOut { user, session } => {
            let data = serde_json::to_value(SignedOutData { session: session.clone() })?;
            Ok(vec![alone(SIGNED_OUT, &pack(SIGNED_OUT, Uuid::now_v7(), *user, data))?])
        }
        // Of this node alone.
        News::Missed => Ok(Vec::new()),
    }
}

/// The node that sent the message, and its news.
pub fn decode(bytes: &[u8]) -> Result<(Uuid, Vec<News>), EnvelopeError> {
    let events = match bytes.first() {
        Some(b'[') => serde_json::from_slice(bytes)?,
        _ => vec![serde_json::from_slice::<Envelope>(bytes)?],
    };
    let first = events.first().ok_or(EnvelopeError::Data("an event"))?;
    let node = first.source.rsplit('/').next().and_then(|node| node.parse().ok());
    let node = node.ok_or(EnvelopeError::Data("a node as its source"))?;
    let mut all: Vec<News> = Vec::new();
    for event in events {
        match (read(event)?, all.last_mut()) {
            (News::Facts(more), Some(News::Facts(news))) if more.user == news.user => {
                news.facts.extend(more.facts);
            }
            (news, _) => all.push(news),
        }
    }
    Ok((node, all))
}

fn read(event: Envelope) -> Result<News, EnvelopeError> {
    let user = UserId(event.subject.parse().map_err(|_| EnvelopeError::Data("a user"))?);
    match event.kind.rsplit_once(".v").map(|(kind, _)| kind) {
        Some(STARTED) => {
            let StartedData { task, job, attempt, at } = serde_json::from_value(event.data)?;
            Ok(News::Started(user, Started { task, job, attempt, at }))
        }
        Some(SIGNED_OUT) => {
            let SignedOutData { session } = serde_json::from_value(event.data)?;
            Ok(News::SignedOut { user, session })
        }
        Some(_) => {
            let fact: Fact = serde_json::from_value(event.data)?;
            Ok(News::Facts(store::News { user, facts: vec![fact] }))
        }
        None => Err(EnvelopeError::Kind(event.kind)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::fact::{FactData, FactKind};

    fn fact(seq: i64, kind: FactKind) -> Fact {
        let id = Uuid::from_u128(seq.unsigned_abs().into());
        Fact { seq, id, kind, job: None, task: None, at: 7, data: FactData::default() }
    }

    #[test]
    fn facts_of_one_kind_share_a_message_and_none_is_lost() {
        let (node, user) = (Uuid::from_u128(1), UserId(Uuid::from_u128(2)));
        let kinds = [FactKind::TaskSucceeded, FactKind::TaskCreated, FactKind::TaskSucceeded];
        let facts: Vec<_> = (5..).zip(kinds).map(|(seq, kind)| fact(seq, kind)).collect();
        let news = News::Facts(store::News { user, facts: facts.clone() });
        let messages = encode(&news, node, 9).unwrap();
        let told: Vec<_> = messages.iter().map(|m| (m.kind, m.content_type)).collect();
        assert_eq!(told, [("task.succeeded", BATCH_CONTENT_TYPE), ("task.created", CONTENT_TYPE)]);
        let mut heard = Vec::new();
        for message in messages {
            let (from, news) = decode(&message.bytes).unwrap();
            assert_eq!(from, node);
            for news in news {
                let News::Facts(news) = news else { panic!("{news:?}") };
                assert_eq!(news.user, user);
                heard.extend(news.facts);
            }
        }
        heard.sort_by_key(|fact| fact.seq);
        assert_eq!(heard, facts);
        assert!(decode(b"[]").is_err());
    }
}
