//! A product as a client sends it, to create it or to change a stored one.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{malformed_response, rejected_response};
use crate::response::ServiceResponse;

/// The parsed body of a request that creates or changes a product.
pub struct ProductDraft {
    /// SKU of the product, without surrounding spaces.
    pub sku: Box<str>,
    /// Title of the product, without surrounding spaces.
    pub title: Box<str>,
    /// The whole product as JSON, independent of the order of its fields.
    pub content: Arc<str>,
    /// Hash of [`content`](Self::content).
    pub fingerprint: u64,
}

impl ProductDraft {
    /// Parses a body.
    ///
    /// # Errors
    /// Returns a 400 if the body is not a JSON object, a 422 if the product has no SKU or title.
    pub fn parse(body: &[u8]) -> Result<Self, ServiceResponse> {
        let Ok(product @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
            return Err(malformed_response("The body is not a JSON object"));
        };
        let text = |field: &str| {
            let text = product.get(field).and_then(Value::as_str).unwrap_or_default().trim();
            (!text.is_empty()).then(|| Box::<str>::from(text))
        };
        let sku = text("sku").ok_or_else(|| rejected_response("The SKU is missing"))?;
        let title = text("title").ok_or_else(|| rejected_response("The title is missing"))?;
        let content: Arc<str> = product.to_string().into();
        Ok(Self { sku, title, fingerprint: fingerprint(&content), content })
    }
}

fn fingerprint(content: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(content).into();
    digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
