//! `product.upload`: one product to one sales channel.

use crate::{
    connector::channel::{self, Channel},
    handler::{Answer, Call, Handler},
};
use async_trait::async_trait;
use contract::command::ProductUpload;

pub struct Upload {
    pub channel: Channel,
}

#[async_trait]
impl Handler<ProductUpload> for Upload {
    async fn run(&self, command: ProductUpload, call: &mut Call<'_>) -> Answer {
        // Where a repeated key has one effect, repeating is the way to ask.
        if call.task.unsure && !self.channel.idempotency_keys {
            if let Err(answer) = call.slot().await {
                return answer;
            }
            match self.channel.find(&command.product.sku).await {
                Ok(Some(id)) => return channel::found(&self.channel.name, id),
                Ok(None) => {}
                Err(answer) => return answer,
            }
        }
        if let Err(answer) = call.slot().await {
            return answer;
        }
        match self.channel.upload(&command.product, &call.task.task.to_string()).await {
            // The key asked about the call before, too, and got no word on it.
            Answer::Retry { outcome, .. } if call.task.unsure && self.channel.idempotency_keys => {
                Answer::Retry { outcome, unsure: true }
            }
            answer => answer,
        }
    }
}
