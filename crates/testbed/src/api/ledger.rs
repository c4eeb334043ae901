//! The sandbox's ledger: the requests and effects that its services recorded.

use super::ApiClient;
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// One service in the ledger's summary.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceSummary {
    pub requests: usize,
    pub over_limit: usize,
    pub during_cooldown: usize,
    pub duplicate_effects: usize,
    /// Requests per second between the first and the last.
    pub observed_rate: Option<f64>,
}

/// One service in the ledger.
#[derive(Deserialize)]
pub struct ServiceRecord {
    pub requests: Vec<RecordedRequest>,
    pub effects: Vec<RecordedEffect>,
}

#[derive(Debug, Default, Deserialize)]
pub struct RecordedRequest {
    /// Time of arrival, UTC ms by the host's clock.
    pub at_ms: i64,
    /// The HTTP method, the action of EC2 and CloudWatch, or the name of a GraphQL operation.
    pub action: String,
    pub sku: Option<String>,
    /// Status of the response; `None` without one.
    pub status: Option<u16>,
    /// Kind of the error in a GraphQL answer, whose status is 200.
    pub error: Option<String>,
    /// Points that it took from the limit, where that counts points.
    pub cost: Option<u32>,
    /// Whether the request was carried out and its connection then dropped.
    pub connection_dropped: bool,
    /// Whether it exceeded the rate limit.
    pub over_limit: bool,
    /// Time since the cooldown began, ms; `None` outside a cooldown.
    pub cooldown_age_ms: Option<i64>,
    /// The header `traceparent`.
    pub traceparent: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct RecordedEffect {
    /// The HTTP method, the action of EC2 and CloudWatch, or the name of a GraphQL operation.
    pub action: String,
    /// SKU of the product, or id of the instance.
    pub sku: String,
    /// False if the effect was already there.
    pub created: bool,
    /// Whether a stored product was changed.
    pub updated: bool,
}

impl ApiClient {
    /// Returns the ledger's summary by service.
    pub async fn ledger_summary(&self) -> anyhow::Result<BTreeMap<String, ServiceSummary>> {
        self.fetch_ledger("/ledger/summary").await
    }

    /// Returns the whole ledger by service.
    pub async fn ledger(&self) -> anyhow::Result<BTreeMap<String, ServiceRecord>> {
        self.fetch_ledger("/ledger").await
    }

    async fn fetch_ledger<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> anyhow::Result<BTreeMap<String, T>> {
        let url = format!("http://127.0.0.1:{}{path}", self.sandbox_port);
        Ok(self.client.get(url).send().await?.json().await?)
    }
}
