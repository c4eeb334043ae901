//! Lines of the ledger's file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Micros;

/// One line. Service and body are borrowed for writing and owned after reading.
#[derive(Serialize, Deserialize)]
pub struct LedgerRow<S, B = RowBody> {
    /// Id of the service.
    pub service: S,
    /// Content of the row.
    #[serde(flatten)]
    pub body: B,
}

/// A row, tagged with its kind.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum RowBody {
    /// Arrival of a request.
    Request(RequestRow),
    /// End of a request.
    Response(ResponseRow),
    /// Effect of a request.
    Effect(EffectRow),
}

/// The arrival of a request.
#[derive(Clone, Serialize, Deserialize)]
pub struct RequestRow {
    /// Time of its arrival, in microseconds since 1970.
    pub at_us: Micros,
    /// The HTTP method, the action of the Query protocol, or the name of the GraphQL operation.
    pub action: Box<str>,
    /// The `Idempotency-Key`; for an alarm its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// The product's SKU; for EC2 the instance ids, separated by commas; for an alarm its instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Box<str>>,
    /// Whether the request came faster than the limit allows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub over_limit: bool,
    /// Points that it needed, where the limit counts points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
    /// Age of the cooldown at its arrival, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_age_us: Option<Micros>,
    /// The header `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Box<str>>,
}

impl RequestRow {
    /// Whether the limit admitted it.
    pub fn is_admitted(&self) -> bool {
        !self.over_limit && self.cooldown_age_us.is_none()
    }
}

/// Kind of the error that a GraphQL answer with the status 200 contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerError {
    /// Too few points are left (`THROTTLED`).
    Throttled,
    /// The service failed, and has done nothing (`INTERNAL_SERVER_ERROR`).
    Internal,
    /// The product is rejected (`userErrors`).
    Rejected,
    /// The request is not one that the service knows.
    Invalid,
}

/// The end of a request.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct ResponseRow {
    /// Index of the request among those of the service, from 0.
    pub request_index: usize,
    /// Status of the response; `None` if the connection was dropped instead.
    pub status: Option<u16>,
    /// Error in a response with the status 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AnswerError>,
    /// Points that it needed less than it had to have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refund: u32,
    /// End of the cooldown that the response started: every request gets a 429 until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_until_us: Option<Micros>,
}

/// An effect of a request.
#[derive(Clone, Serialize, Deserialize)]
pub struct EffectRow {
    /// Time of the effect, in microseconds since 1970.
    pub at_us: Micros,
    /// The HTTP method, the action of the Query protocol, or the name of the GraphQL operation.
    pub action: Box<str>,
    /// The `Idempotency-Key`; for an alarm its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// SKU of the product, or id of the instance.
    pub sku: Box<str>,
    /// Whether something changed; false if it existed already.
    pub created: bool,
    /// Whether something that existed was changed, such as a product.
    #[serde(default, skip_serializing_if = "is_false")]
    pub updated: bool,
    /// Further values that a restart needs, such as an alarm's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}
