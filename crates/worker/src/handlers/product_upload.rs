//! `product.upload`: uploads one product to one sales channel.

use crate::{
    connector::channel::{self, ChannelClient},
    handler::{AttemptContext, Handler, HandlerOutcome},
};
use async_trait::async_trait;
use contract::command::ProductUpload;

/// Handler of `product.upload`.
pub struct ProductUploadHandler {
    /// Client of the channel.
    pub channel: ChannelClient,
}

#[async_trait]
impl Handler<ProductUpload> for ProductUploadHandler {
    async fn run(
        &self,
        command: ProductUpload,
        context: &mut AttemptContext<'_>,
    ) -> HandlerOutcome {
        // Reconcile by SKU, unless the channel supports idempotency keys: then repeating
        // the call with the same key is enough.
        if context.task.outcome_unknown && !self.channel.supports_idempotency_keys {
            if let Err(handler_outcome) = context.acquire_rate_permit().await {
                return handler_outcome;
            }
            match self.channel.find_product(&command.product.sku).await {
                Ok(Some(id)) => return channel::reconciled_outcome(&self.channel.name, id),
                Ok(None) => {}
                Err(handler_outcome) => return handler_outcome,
            }
        }
        if let Err(handler_outcome) = context.acquire_rate_permit().await {
            return handler_outcome;
        }
        match self.channel.upload_product(&command.product, &context.task.task.to_string()).await {
            // The repeated key did not clarify the outcome of the earlier call either.
            HandlerOutcome::Retry { outcome, .. }
                if context.task.outcome_unknown && self.channel.supports_idempotency_keys =>
            {
                HandlerOutcome::Retry { outcome, outcome_unknown: true }
            }
            handler_outcome => handler_outcome,
        }
    }
}
