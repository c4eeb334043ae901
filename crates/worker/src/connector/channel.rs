//! Client of a sales channel: `POST /products`, `GET /products?sku=`.

use super::{outcome_for_request_error, outcome_for_status, read_body, unreadable_response};
use crate::handler::{HandlerOutcome, new_outcome};
use contract::{api::Outcome, product::Product};
use engine::channel::ChannelConfig;
use serde::Deserialize;

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Client of one sales channel.
#[derive(Clone, Debug)]
pub struct ChannelClient {
    /// Name of the channel in messages.
    pub name: String,
    /// Whether a repeated call with the same idempotency key has one effect.
    pub supports_idempotency_keys: bool,
    base_url: String,
    http_client: reqwest::Client,
}

#[derive(Deserialize)]
struct StoredProduct {
    id: String,
}

#[derive(Deserialize)]
struct ProductList {
    items: Vec<StoredProduct>,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    error: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    id: Option<String>,
}

impl ChannelClient {
    /// Creates the client of a configured channel.
    pub fn new(config: &ChannelConfig, http_client: reqwest::Client) -> Self {
        Self {
            name: config.name.clone(),
            base_url: config.base_url.clone(),
            supports_idempotency_keys: config.supports_idempotency_keys,
            http_client,
        }
    }

    /// Returns the channel's id of the product with this SKU; `None` if there is none.
    ///
    /// # Errors
    /// The handler's outcome if the channel gives no such answer.
    pub async fn find_product(&self, sku: &str) -> Result<Option<String>, HandlerOutcome> {
        let url = format!("{}/products", self.base_url);
        let send_result = self.http_client.get(url).query(&[("sku", sku)]).send().await;
        let response = send_result
            .map_err(|error| keep_outcome_unknown(outcome_for_request_error(&self.name, &error)))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(keep_outcome_unknown(outcome_for_status(
                &self.name,
                status,
                response.headers(),
                "",
            )));
        }
        let body = read_body(&self.name, response, MAX_RESPONSE_BYTES)
            .await
            .map_err(keep_outcome_unknown)?;
        let products: ProductList = serde_json::from_slice(&body)
            .map_err(|_| keep_outcome_unknown(unreadable_response(&self.name)))?;
        Ok(products.items.into_iter().next().map(|item| item.id))
    }

    /// Uploads `product`. `key` is the idempotency key, the same for every attempt.
    pub async fn upload_product(&self, product: &Product, key: &str) -> HandlerOutcome {
        let mut request =
            self.http_client.post(format!("{}/products", self.base_url)).json(product);
        if self.supports_idempotency_keys {
            request = request.header("Idempotency-Key", key);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return outcome_for_request_error(&self.name, &error),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_body(&self.name, response, MAX_RESPONSE_BYTES).await;
        if matches!(status, 200 | 201) {
            return match body.map(|body| serde_json::from_slice::<StoredProduct>(&body)) {
                Ok(Ok(stored)) => {
                    succeeded(stored_outcome(&self.name, "created", "stored it", stored.id))
                }
                Ok(Err(_)) => unreadable_response(&self.name),
                Err(handler_outcome) => handler_outcome,
            };
        }
        let error_body = body.ok().and_then(|body| serde_json::from_slice::<ErrorBody>(&body).ok());
        let error_body = error_body.unwrap_or_default();
        match (status, error_body.id) {
            (409, Some(id)) if error_body.error == "duplicate_sku" => {
                succeeded(stored_outcome(&self.name, "found", "has this SKU already", id))
            }
            (422, _) => HandlerOutcome::Failed(new_outcome(
                "rejected",
                format!("{} rejected it: {}", self.name, error_body.reason),
            )),
            _ => outcome_for_status(&self.name, status, &headers, &error_body.error),
        }
    }
}

/// Returns the outcome for a product that was found by its SKU after a call without a
/// response.
pub fn reconciled_outcome(name: &str, id: String) -> HandlerOutcome {
    succeeded(stored_outcome(name, "found", "had stored it, but its response was lost", id))
}

fn stored_outcome(name: &str, code: &str, action: &str, id: String) -> Outcome {
    Outcome { reference: Some(id), ..new_outcome(code, format!("{name} {action}.")) }
}

fn succeeded(outcome: Outcome) -> HandlerOutcome {
    HandlerOutcome::Succeeded { outcome, follow_ups: Vec::new() }
}

/// Keeps the outcome of the upload unknown, because the failed look-up did not clarify
/// it: a retry reconciles again, and a permanent failure needs review.
fn keep_outcome_unknown(handler_outcome: HandlerOutcome) -> HandlerOutcome {
    match handler_outcome {
        HandlerOutcome::Retry { outcome, .. } => {
            HandlerOutcome::Retry { outcome, outcome_unknown: true }
        }
        HandlerOutcome::Failed(outcome) => HandlerOutcome::NeedsReview(outcome),
        other => other,
    }
}
