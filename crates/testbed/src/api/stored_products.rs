//! The products that a channel of the sandbox stores, as its own API returns them.

use super::ApiClient;
use anyhow::{Context, ensure};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Pause after a 429. Longer ones are repeated, because the channels differ in the format
/// of their `Retry-After`.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Maximum time until a channel answers.
const FIND_TIMEOUT: Duration = Duration::from_secs(60);

/// A product as a channel stores it.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredProduct {
    /// The channel's id.
    pub id: String,
    /// Number of writes so far: 1 for a product that was never changed.
    pub revision: u32,
    /// The product as the last write sent it.
    pub product: Value,
}

#[derive(Deserialize)]
struct ProductList {
    items: Vec<StoredProduct>,
}

impl ApiClient {
    /// Returns all products of a channel with this SKU. The request counts against the
    /// channel's rate limit; a 429 is waited out.
    ///
    /// # Errors
    /// The sandbox does not answer, or not with products.
    pub async fn stored_products(
        &self,
        channel: &str,
        sku: &str,
    ) -> anyhow::Result<Vec<StoredProduct>> {
        let url = format!("http://127.0.0.1:{}/channels/{channel}/products", self.sandbox_port);
        let start = Instant::now();
        loop {
            let answer = self.client.get(&url).query(&[("sku", sku)]).send().await?;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS && start.elapsed() < FIND_TIMEOUT {
                sleep(RETRY_PAUSE).await;
                continue;
            }
            ensure!(answer.status() == StatusCode::OK, "{channel} answered {}", answer.status());
            let list: ProductList =
                answer.json().await.with_context(|| format!("{channel} has no list for {sku}"))?;
            return Ok(list.items);
        }
    }
}
