//! A product as a client sends it.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{malformed, rejected};
use crate::answer::Answer;

pub struct Draft {
    pub sku: Box<str>,
    pub title: Box<str>,
    /// The same for the same product, in whatever order its fields come.
    pub fingerprint: u64,
}

impl Draft {
    /// 400 for what is no JSON object, 422 for a product without SKU or title.
    pub fn parse(body: &[u8]) -> Result<Self, Answer> {
        let Ok(product @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
            return Err(malformed("The body is no JSON object"));
        };
        let text = |field: &str| {
            let text = product.get(field).and_then(Value::as_str).unwrap_or_default().trim();
            (!text.is_empty()).then(|| Box::<str>::from(text))
        };
        let sku = text("sku").ok_or_else(|| rejected("The SKU is missing"))?;
        let title = text("title").ok_or_else(|| rejected("The title is missing"))?;
        let digest: [u8; 32] = Sha256::digest(product.to_string()).into();
        let fingerprint = digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Ok(Self { sku, title, fingerprint })
    }
}
