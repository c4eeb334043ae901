//! The ledger as it is shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Answered, Arrived, Effected, Kept};

/// `GET /ledger`: by service, `acme`, `bazaar`, `corner`, `ec2` and `cloudwatch`.
pub type Snapshot = BTreeMap<&'static str, Record>;

/// What one service saw, in the order in which it saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    pub requests: Vec<Request>,
    pub effects: Vec<Effect>,
}

/// One request, whether it was let in or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Of its arrival, in Unix milliseconds.
    pub at_ms: u64,
    /// The `Idempotency-Key`; for an alarm its name.
    pub key: Option<Box<str>>,
    /// The product's SKU; for EC2 the instance ids, separated by commas; for an alarm its instance.
    pub sku: Option<Box<str>>,
    /// None while in flight, when the connection was dropped, and when the process died.
    pub status: Option<u16>,
    /// It came faster than the limit allows.
    pub over: bool,
    /// It came before a Retry-After was over.
    pub closed: bool,
    /// How long before it the closure began, in milliseconds. A client may send a request in the
    /// moment in which the 429 is on its way to it.
    pub closed_for_ms: Option<u64>,
    /// It was carried out and its connection dropped without an answer.
    pub dropped: bool,
    /// The HTTP method, or the action of the Query protocol.
    pub action: Box<str>,
}

/// One effect: a product stored, a machine started or stopped, an alarm made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// In Unix milliseconds.
    pub at_ms: u64,
    pub key: Option<Box<str>>,
    /// As in [`Request::sku`], always of one thing.
    pub sku: Box<str>,
    /// True for a new product, for a machine that was not running, for an alarm that was not there.
    pub created: bool,
    pub action: Box<str>,
}

impl From<&Kept> for Record {
    fn from(kept: &Kept) -> Self {
        Self {
            requests: kept.requests.iter().map(Request::from).collect(),
            effects: kept.effects.iter().map(Effect::from).collect(),
        }
    }
}

impl From<&(Arrived, Option<Answered>)> for Request {
    fn from((arrived, answered): &(Arrived, Option<Answered>)) -> Self {
        let status = answered.and_then(|answered| answered.status);
        Self {
            at_ms: arrived.at_us / 1_000,
            key: arrived.key.clone(),
            sku: arrived.sku.clone(),
            status,
            over: arrived.over,
            closed: arrived.closed_for_us.is_some(),
            closed_for_ms: arrived.closed_for_us.map(|time| time / 1_000),
            dropped: answered.is_some() && status.is_none(),
            action: arrived.action.clone(),
        }
    }
}

impl From<&Effected> for Effect {
    fn from(effect: &Effected) -> Self {
        Self {
            at_ms: effect.at_us / 1_000,
            key: effect.key.clone(),
            sku: effect.sku.clone(),
            created: effect.created,
            action: effect.action.clone(),
        }
    }
}
