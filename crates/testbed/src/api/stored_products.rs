//! The products that a channel of the sandbox stores, as its own API returns them.

use super::ApiClient;
use anyhow::{Context, ensure};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Pause after a 429. Longer ones are repeated, because the channels differ in the format
/// of their `Retry-After`.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Maximum time until a channel answers.
const FIND_TIMEOUT: Duration = Duration::from_secs(60);

impl ApiClient {
    /// Returns all products of a channel with this SKU. The request counts against the
    /// channel's rate limit; a 429 is waited out.
    ///
    /// # Errors
    /// The sandbox does not answer, or not with products.
    pub async fn stored_products(&self, channel: &str, sku: &str) -> anyhow::Result<Vec<Value>> {
        let request = self.client.get(self.channel_url(channel, "products"));
        let list = self.send_when_free(channel, &request.query(&[("sku", sku)])).await?;
        let items = list["items"].as_array();
        let items = items.with_context(|| format!("{channel} has no list for {sku}"))?;
        Ok(items.iter().map(|item| item["product"].clone()).collect())
    }

    /// Returns all products with a variant that has this SKU, of a channel with a GraphQL API.
    /// The price of the variant is a member of the product, as at the other channels. The
    /// request counts like that of [`stored_products`](Self::stored_products).
    ///
    /// # Errors
    /// The sandbox does not answer, or not with products.
    pub async fn stored_graphql_products(
        &self,
        channel: &str,
        sku: &str,
    ) -> anyhow::Result<Vec<Value>> {
        let variables = json!({ "handle": sku, "sku": format!("sku:\"{sku}\"") });
        let body = json!({ "query": "query Find { product { id } }", "variables": variables });
        let request = self.client.post(self.channel_url(channel, "graphql.json")).json(&body);
        let answer = self.send_when_free(channel, &request).await?;
        let nodes = answer["data"]["bySku"]["nodes"].as_array();
        let nodes = nodes.with_context(|| format!("{channel} found nothing: {answer}"))?;
        let products = nodes.iter().map(|node| {
            let mut product = node["product"].clone();
            product["price"] = product["variants"]["nodes"][0]["price"].clone();
            product
        });
        Ok(products.collect())
    }

    fn channel_url(&self, channel: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}/channels/{channel}/{path}", self.sandbox_port)
    }

    /// Sends a request again until the channel does not ask to wait, and returns the answer.
    async fn send_when_free(
        &self,
        channel: &str,
        request: &RequestBuilder,
    ) -> anyhow::Result<Value> {
        let start = Instant::now();
        loop {
            let request = request.try_clone().context("the request can't be sent twice")?;
            let answer = request.send().await?;
            let status = answer.status();
            let body: Value = answer.json().await?;
            let is_throttled = body["errors"][0]["extensions"]["code"] == "THROTTLED";
            if (status == StatusCode::TOO_MANY_REQUESTS || is_throttled)
                && start.elapsed() < FIND_TIMEOUT
            {
                sleep(RETRY_PAUSE).await;
                continue;
            }
            ensure!(status == StatusCode::OK, "{channel} answered {status}: {body}");
            return Ok(body);
        }
    }
}
