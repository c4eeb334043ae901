//! Hub events as CloudEvents. Facts of the same commit and kind share a message, as a batch
//! of events.

use super::HubEvent;
use crate::store;
use contract::{
    UserId,
    envelope::{BATCH_CONTENT_TYPE, CONTENT_TYPE, Envelope, EnvelopeError},
    fact::Fact,
    signal::{SessionEnded, SignalKind},
};
use serde_json::Value;
use uuid::Uuid;

const STARTED: &str = SignalKind::TaskStarted.as_str();
const SIGNED_OUT: &str = SignalKind::SessionEnded.as_str();

/// An encoded message. All its events are of the same kind.
pub struct Message {
    /// Kind of the events, without a version.
    pub kind: &'static str,
    /// Media type of one event or of a batch.
    pub content_type: &'static str,
    /// JSON of the event or the batch.
    pub bytes: Vec<u8>,
}

/// Encodes an event as messages. `at` is the time of sending, in UTC milliseconds.
pub fn encode(hub_event: &HubEvent, node: Uuid, at: i64) -> Result<Vec<Message>, EnvelopeError> {
    let envelope = |kind: &'static str, id: Uuid, user: UserId, data: Value| Envelope {
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
    let fact_envelope = |fact: &Fact, user: UserId| -> Result<Envelope, EnvelopeError> {
        let event = envelope(fact.kind.as_str(), fact.id, user, serde_json::to_value(fact)?);
        Ok(Envelope { traceparent: fact.traceparent.clone(), ..event })
    };
    let single_event_message =
        |kind: &'static str, event: &Envelope| -> Result<Message, EnvelopeError> {
            Ok(Message { kind, content_type: CONTENT_TYPE, bytes: serde_json::to_vec(event)? })
        };
    match hub_event {
        HubEvent::Facts(user_facts) => {
            let mut events_by_kind: Vec<(&'static str, Vec<Envelope>)> = Vec::new();
            for fact in &user_facts.facts {
                let kind = fact.kind.as_str();
                let event = fact_envelope(fact, user_facts.user)?;
                match events_by_kind.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, events)) => events.push(event),
                    None => events_by_kind.push((kind, vec![event])),
                }
            }
            let message = |(kind, events): (&'static str, Vec<Envelope>)| match &events[..] {
                [event] => single_event_message(kind, event),
                events => {
                    let bytes = serde_json::to_vec(events)?;
                    Ok(Message { kind, content_type: BATCH_CONTENT_TYPE, bytes })
                }
            };
            events_by_kind.into_iter().map(message).collect()
        }
        HubEvent::TaskStarted(user, started) => {
            let data = serde_json::to_value(started)?;
            Ok(vec![single_event_message(
                STARTED,
                &envelope(STARTED, Uuid::now_v7(), *user, data),
            )?])
        }
        HubEvent::SignedOut { user, session } => {
            let data = serde_json::to_value(SessionEnded { session: session.clone() })?;
            Ok(vec![single_event_message(
                SIGNED_OUT,
                &envelope(SIGNED_OUT, Uuid::now_v7(), *user, data),
            )?])
        }
        // Concerns only this node.
        HubEvent::ResyncRequired => Ok(Vec::new()),
    }
}

/// Decodes a message into the node that sent it and its events.
pub fn decode(bytes: &[u8]) -> Result<(Uuid, Vec<HubEvent>), EnvelopeError> {
    let events = match bytes.first() {
        Some(b'[') => serde_json::from_slice(bytes)?,
        _ => vec![serde_json::from_slice::<Envelope>(bytes)?],
    };
    let first = events.first().ok_or(EnvelopeError::Data("an event"))?;
    let node = first.source.rsplit('/').next().and_then(|node| node.parse().ok());
    let node = node.ok_or(EnvelopeError::Data("a node as its source"))?;
    let mut hub_events: Vec<HubEvent> = Vec::new();
    for event in events {
        match (decode_event(event)?, hub_events.last_mut()) {
            (HubEvent::Facts(new_facts), Some(HubEvent::Facts(last_facts)))
                if new_facts.user == last_facts.user =>
            {
                last_facts.facts.extend(new_facts.facts);
            }
            (hub_event, _) => hub_events.push(hub_event),
        }
    }
    Ok((node, hub_events))
}

fn decode_event(event: Envelope) -> Result<HubEvent, EnvelopeError> {
    let user = UserId(event.subject.parse().map_err(|_| EnvelopeError::Data("a user"))?);
    match event.kind.rsplit_once(".v").map(|(kind, _)| kind) {
        Some(STARTED) => Ok(HubEvent::TaskStarted(user, serde_json::from_value(event.data)?)),
        Some(SIGNED_OUT) => {
            let SessionEnded { session } = serde_json::from_value(event.data)?;
            Ok(HubEvent::SignedOut { user, session })
        }
        Some(_) => {
            let fact: Fact = serde_json::from_value(event.data)?;
            Ok(HubEvent::Facts(store::UserFacts { user, facts: vec![fact] }))
        }
        None => Err(EnvelopeError::Kind(event.kind)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::fact::{FactData, FactKind};

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn fact(seq: i64, kind: FactKind) -> Fact {
        let id = Uuid::from_u128(seq.unsigned_abs().into());
        let traceparent = Some(TRACEPARENT.to_owned());
        let data = FactData::default();
        Fact { seq, id, kind, job: None, task: None, at: 7, traceparent, data }
    }

    #[test]
    fn facts_of_one_kind_are_batched_and_all_are_decoded() {
        let (node, user) = (Uuid::from_u128(1), UserId(Uuid::from_u128(2)));
        let kinds = [FactKind::TaskSucceeded, FactKind::TaskCreated, FactKind::TaskSucceeded];
        let facts: Vec<_> = (5..).zip(kinds).map(|(seq, kind)| fact(seq, kind)).collect();
        let event = HubEvent::Facts(store::UserFacts { user, facts: facts.clone() });
        let messages = encode(&event, node, 9).unwrap();
        let kinds_and_types: Vec<_> = messages.iter().map(|m| (m.kind, m.content_type)).collect();
        assert_eq!(
            kinds_and_types,
            [("task.succeeded", BATCH_CONTENT_TYPE), ("task.created", CONTENT_TYPE)]
        );
        let mut decoded = Vec::new();
        for message in messages {
            let json: Value = serde_json::from_slice(&message.bytes).unwrap();
            let events = json.as_array().cloned().unwrap_or_else(|| vec![json]);
            assert!(events.iter().all(|event| event["traceparent"] == TRACEPARENT), "{events:?}");
            let (sender, events) = decode(&message.bytes).unwrap();
            assert_eq!(sender, node);
            for event in events {
                let HubEvent::Facts(user_facts) = event else { panic!("{event:?}") };
                assert_eq!(user_facts.user, user);
                decoded.extend(user_facts.facts);
            }
        }
        decoded.sort_by_key(|fact| fact.seq);
        assert_eq!(decoded, facts);
        assert!(decode(b"[]").is_err());
    }
}
