//! The ledger as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AnswerError, EffectRow, RequestRow, ResponseRow, ServiceHistory};

/// Response of `GET /ledger`: a record for each of `acme`, `bazaar`, `corner`, `depot`, `ec2`
/// and `cloudwatch`.
pub type Snapshot = BTreeMap<&'static str, ServiceRecord>;

/// Record of one service, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceRecord {
    /// Requests, admitted or not.
    pub requests: Vec<Request>,
    /// Effects of the admitted requests.
    pub effects: Vec<Effect>,
}

/// One request, whether it was admitted or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Time of its arrival, in milliseconds since 1970.
    pub at_ms: u64,
    /// The `Idempotency-Key`; for an alarm its name.
    pub key: Option<Box<str>>,
    /// The product's SKU; for EC2 the instance ids, separated by commas; for an alarm its instance.
    pub sku: Option<Box<str>>,
    /// Status of the response. `None` while in flight, if the connection was dropped, and if the
    /// process died.
    pub status: Option<u16>,
    /// Error in a GraphQL answer with the status 200.
    pub error: Option<AnswerError>,
    /// Points that it took from the limit, where that counts points.
    pub cost: Option<u32>,
    /// Whether it came faster than the limit allows.
    pub over_limit: bool,
    /// Whether it came before a Retry-After was over.
    pub during_cooldown: bool,
    /// Time between the start of the cooldown and the request, in milliseconds. A client may send
    /// a request while the 429 is on its way.
    pub cooldown_age_ms: Option<u64>,
    /// Whether it was executed and its connection dropped without a response.
    pub connection_dropped: bool,
    /// The HTTP method, the action of the Query protocol, or the name of the GraphQL operation.
    pub action: Box<str>,
    /// The header `traceparent`, as it was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Box<str>>,
}

/// One effect: a product stored or changed, a machine started or stopped, an alarm created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Time of the effect, in milliseconds since 1970.
    pub at_ms: u64,
    /// The `Idempotency-Key`; for an alarm its name.
    pub key: Option<Box<str>>,
    /// SKU or instance id like [`Request::sku`], but always only one.
    pub sku: Box<str>,
    /// Whether something changed: true for a new product, for a machine that was not in the desired
    /// state, and for an alarm that did not exist.
    pub created: bool,
    /// Whether a stored product was changed.
    pub updated: bool,
    /// The HTTP method, the action of the Query protocol, or the name of the GraphQL operation.
    pub action: Box<str>,
}

impl From<&ServiceHistory> for ServiceRecord {
    fn from(history: &ServiceHistory) -> Self {
        Self {
            requests: history.requests.iter().map(Request::from).collect(),
            effects: history.effects.iter().map(Effect::from).collect(),
        }
    }
}

impl From<&(RequestRow, Option<ResponseRow>)> for Request {
    fn from((request, response): &(RequestRow, Option<ResponseRow>)) -> Self {
        let status = response.and_then(|response| response.status);
        let refund = response.map_or(0, |response| response.refund);
        let cost = request.cost.filter(|_| request.is_admitted());
        Self {
            at_ms: request.at_us / 1_000,
            key: request.key.clone(),
            sku: request.sku.clone(),
            status,
            error: response.and_then(|response| response.error),
            cost: cost.map(|cost| cost.saturating_sub(refund)),
            over_limit: request.over_limit,
            during_cooldown: request.cooldown_age_us.is_some(),
            cooldown_age_ms: request.cooldown_age_us.map(|time| time / 1_000),
            connection_dropped: response.is_some() && status.is_none(),
            action: request.action.clone(),
            traceparent: request.traceparent.clone(),
        }
    }
}

impl From<&EffectRow> for Effect {
    fn from(effect: &EffectRow) -> Self {
        Self {
            at_ms: effect.at_us / 1_000,
            key: effect.key.clone(),
            sku: effect.sku.clone(),
            created: effect.created,
            updated: effect.updated,
            action: effect.action.clone(),
        }
    }
}
