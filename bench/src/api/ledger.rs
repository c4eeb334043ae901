//! What the sandbox's services themselves have seen.

use super::Api;
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// One service in the ledger's summary.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    pub requests: usize,
    pub over: usize,
    pub while_closed: usize,
    pub duplicate_effects: usize,
    pub rate_used: Option<f64>,
}

/// One service in the ledger.
#[derive(Deserialize)]
pub struct Record {
    pub requests: Vec<Request>,
    pub effects: Vec<Effect>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Request {
    /// UTC ms, by this machine's clock.
    pub at_ms: i64,
    pub sku: Option<String>,
    /// What it was answered, if it was.
    pub status: Option<u16>,
    /// It was carried out and its connection dropped.
    pub dropped: bool,
    /// It came faster than the limit allows.
    pub over: bool,
    /// How long its channel had been closed.
    pub closed_for_ms: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Effect {
    /// The HTTP method, or the action of EC2 and CloudWatch.
    pub action: String,
    /// Of the product, or the machine's id.
    pub sku: String,
    /// False when it was so already.
    pub created: bool,
}

impl Api {
    /// What the services themselves counted, by service.
    pub async fn ledger_summary(&self) -> anyhow::Result<BTreeMap<String, Summary>> {
        self.ledger_at("/ledger/summary").await
    }

    /// Everything that the services saw, by service.
    pub async fn ledger(&self) -> anyhow::Result<BTreeMap<String, Record>> {
        self.ledger_at("/ledger").await
    }

    async fn ledger_at<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> anyhow::Result<BTreeMap<String, T>> {
        let url = format!("http://127.0.0.1:{}{path}", self.sandbox);
        Ok(self.client.get(url).send().await?.json().await?)
    }
}
