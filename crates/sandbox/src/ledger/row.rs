//! The lines of the ledger's file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Micros;

/// One line. The service and the body are borrowed when written and owned when read.
#[derive(Serialize, Deserialize)]
pub struct Row<S, B = Body> {
    pub service: S,
    #[serde(flatten)]
    pub body: B,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Body {
    Arrived(Arrived),
    Answered(Answered),
    Effect(Effected),
}

/// A request that has come and has no answer yet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Arrived {
    pub at_us: Micros,
    /// The HTTP method, or the action of the Query protocol.
    pub action: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub over: bool,
    /// How long the channel had been closed when it came, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_for_us: Option<Micros>,
}

impl Arrived {
    /// The limit let it in.
    pub fn admitted(&self) -> bool {
        !self.over && self.closed_for_us.is_none()
    }
}

/// The end of a request.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Answered {
    /// Its number among the service's requests, from 0.
    pub request: usize,
    /// None when the connection was dropped instead.
    pub status: Option<u16>,
    /// The channel answers 429 to everything until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_until_us: Option<Micros>,
}

/// What a request has changed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Effected {
    pub at_us: Micros,
    pub action: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    pub sku: Box<str>,
    /// False when it was there already.
    pub created: bool,
    /// What a restart needs besides, such as an alarm's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

fn is_false(value: &bool) -> bool {
    !value
}
