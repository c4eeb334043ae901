//! Tests that every [`EventBus`] has to pass; each adapter's tests call [`run`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use super::{EventBus, HubEvent};
use crate::store::UserFacts;
use contract::{
    JobId, TaskId, UserId,
    fact::{Fact, FactData, FactKind},
    websocket::TaskStarted,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::Receiver;
use uuid::Uuid;

const USER: UserId = UserId(Uuid::from_u128(3));

/// Returns the event that a worker has started attempt `number`.
fn started(number: u32) -> HubEvent {
    let started = TaskStarted {
        task: TaskId(Uuid::from_u128(1)),
        job: JobId(Uuid::from_u128(2)),
        attempt: number,
        at: i64::from(number),
    };
    HubEvent::TaskStarted(USER, started)
}

fn fact(seq: i64, kind: FactKind) -> Fact {
    let id = Uuid::from_u128(seq.unsigned_abs().into());
    Fact {
        seq,
        id,
        kind,
        job: None,
        task: None,
        at: 7,
        traceparent: None,
        data: FactData::default(),
    }
}

/// Returns one event of each kind that passes between nodes.
fn events() -> Vec<HubEvent> {
    let kinds = [FactKind::TaskSucceeded, FactKind::TaskCreated, FactKind::TaskSucceeded];
    let facts = (5..).zip(kinds).map(|(seq, kind)| fact(seq, kind)).collect();
    vec![
        HubEvent::Facts(UserFacts { user: USER, facts }),
        HubEvent::SignedOut { user: USER, session: Some("hash".into()) },
        HubEvent::SignedOut { user: USER, session: None },
        started(0),
    ]
}

async fn receive(receiver: &mut Receiver<Arc<HubEvent>>) -> HubEvent {
    let event = tokio::time::timeout(Duration::from_secs(60), receiver.recv()).await;
    (*event.expect("no event within 60 s").unwrap()).clone()
}

/// Receives up to and including the last of [`events`].
async fn receive_all(receiver: &mut Receiver<Arc<HubEvent>>) -> Vec<HubEvent> {
    let mut received = Vec::new();
    while received.last() != Some(&started(0)) {
        received.push(receive(receiver).await);
    }
    received
}

/// Joins the facts, in order of their `seq`, and returns them with all other events. On
/// their way to another node the facts of an event may be split by their kind.
fn join_facts(events: Vec<HubEvent>) -> (Vec<Fact>, Vec<HubEvent>) {
    let (mut facts, mut others) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            HubEvent::Facts(user_facts) => {
                assert_eq!(user_facts.user, USER);
                facts.extend(user_facts.facts);
            }
            other => others.push(other),
        }
    }
    facts.sort_by_key(|fact| fact.seq);
    (facts, others)
}

/// Runs the whole suite on two nodes that run, or on one node twice.
pub async fn run(sender: &dyn EventBus, other: &dyn EventBus) {
    let mut others = [other.subscribe(), other.subscribe()];
    let mut own = sender.subscribe();
    // A node that doesn't forward yet misses events, so they are repeated until one
    // arrives.
    let mut repeated = 0;
    loop {
        repeated += 1;
        assert!(repeated < 100, "the other node receives nothing");
        sender.broadcast(started(repeated));
        let received = tokio::time::timeout(Duration::from_millis(200), others[0].recv()).await;
        if received.is_ok() {
            break;
        }
    }
    for event in events() {
        sender.broadcast(event);
    }

    // A node receives its own events at once, unchanged, in order and each once.
    let mut received = Vec::new();
    while let Ok(event) = own.try_recv() {
        received.push((*event).clone());
    }
    assert_eq!(received, (1..=repeated).map(started).chain(events()).collect::<Vec<_>>());

    // Every subscriber of the other node receives them, too.
    for receiver in &mut others {
        let mut received = receive_all(receiver).await;
        received.retain(
            |event| !matches!(event, HubEvent::TaskStarted(_, started) if started.attempt > 0),
        );
        assert_eq!(join_facts(received), join_facts(events()));
    }

    // The other node's next event is the next one here: none of this node's own events has
    // come back, and a late subscriber receives none from before its subscription.
    let mut late = sender.subscribe();
    other.broadcast(started(u32::MAX));
    for receiver in [&mut own, &mut late] {
        assert_eq!(receive(receiver).await, started(u32::MAX));
    }
}
