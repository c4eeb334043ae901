//! Client of a sales channel: `POST /products`, `GET /products?sku=`.

use super::{error_for_status, read_body, request_error, unreadable_response};
use contract::{api::Outcome, product::Product};
use engine::{
    channel::ChannelConfig,
    store::{AttemptError, Success},
};
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
    /// The channel gives no such answer, so the outcome of the upload stays unknown.
    pub async fn find_product(&self, sku: &str) -> Result<Option<String>, AttemptError> {
        self.query_product(sku).await.map_err(keep_outcome_unknown)
    }

    async fn query_product(&self, sku: &str) -> Result<Option<String>, AttemptError> {
        let url = format!("{}/products", self.base_url);
        let send_result = self.http_client.get(url).query(&[("sku", sku)]).send().await;
        let response = send_result.map_err(|error| request_error(&self.name, &error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(error_for_status(&self.name, status, response.headers(), ""));
        }
        let body = read_body(&self.name, response, MAX_RESPONSE_BYTES).await?;
        let products: ProductList =
            serde_json::from_slice(&body).map_err(|_| unreadable_response(&self.name))?;
        Ok(products.items.into_iter().next().map(|item| item.id))
    }

    /// Uploads `product`. `key` is the idempotency key, the same for every attempt.
    ///
    /// # Errors
    /// The channel has not stored the product, or may not have.
    pub async fn upload_product(
        &self,
        product: &Product,
        key: &str,
    ) -> Result<Success, AttemptError> {
        let mut request =
            self.http_client.post(format!("{}/products", self.base_url)).json(product);
        if self.supports_idempotency_keys {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await.map_err(|error| request_error(&self.name, &error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_body(&self.name, response, MAX_RESPONSE_BYTES).await;
        if matches!(status, 200 | 201) {
            let stored: StoredProduct =
                serde_json::from_slice(&body?).map_err(|_| unreadable_response(&self.name))?;
            return Ok(self.stored("created", "stored it", stored.id));
        }
        let error_body = body.ok().and_then(|body| serde_json::from_slice::<ErrorBody>(&body).ok());
        let error_body = error_body.unwrap_or_default();
        match (status, error_body.id) {
            (409, Some(id)) if error_body.error == "duplicate_sku" => {
                Ok(self.stored("found", "has this SKU already", id))
            }
            (422, _) => {
                let message = format!("{} rejected it: {}", self.name, error_body.reason);
                Err(AttemptError::failed("rejected", message))
            }
            _ => Err(error_for_status(&self.name, status, &headers, &error_body.error)),
        }
    }

    /// Returns the success for a product that was found by its SKU after a call without a
    /// response.
    pub fn reconciled(&self, id: String) -> Success {
        self.stored("found", "had stored it, but its response was lost", id)
    }

    fn stored(&self, code: &str, action: &str, id: String) -> Success {
        let message = format!("{} {action}.", self.name);
        Success::new(Outcome::new(code, message).with_reference(id))
    }
}

/// Keeps the outcome of the upload unknown, because the failed look-up did not clarify
/// it: a retry reconciles again, and a permanent failure needs review.
fn keep_outcome_unknown(error: AttemptError) -> AttemptError {
    match error {
        AttemptError::Failed(outcome) => AttemptError::NeedsReview(outcome),
        other => other.with_outcome_unknown(),
    }
}
