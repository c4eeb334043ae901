//! `product.upload`: uploads one product to one sales channel.

use crate::{
    connector::channel::ChannelClient,
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use contract::command::ProductUpload;
use engine::store::{AttemptError, Success};

/// Handler of `product.upload`.
pub struct ProductUploadHandler {
    /// Client of the channel.
    pub channel: ChannelClient,
}

#[async_trait]
impl Handler<ProductUpload> for ProductUploadHandler {
    async fn run(
        &self,
        ProductUpload { product, .. }: ProductUpload,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let outcome_unknown = context.task.outcome_unknown;
        let has_keys = self.channel.supports_idempotency_keys;
        // Reconcile by SKU, unless the channel supports idempotency keys: then repeating
        // the call with the same key is enough.
        if outcome_unknown && !has_keys {
            context.acquire_rate_permit().await?;
            if let Some(id) = self.channel.find_product(&product.sku).await? {
                return Ok(self.channel.reconciled(id));
            }
        }
        context.acquire_rate_permit().await?;
        let key = context.task.task.to_string();
        self.channel.upload_product(&product, &key).await.map_err(|error| {
            // The repeated key did not clarify the outcome of the earlier call either.
            if outcome_unknown && has_keys { error.with_outcome_unknown() } else { error }
        })
    }
}
