//! `product.upload`: has one sales channel sell one product as the command describes it.

mod attempt;
#[cfg(test)]
mod tests;

use crate::{
    connector::channel::{ChannelClient, ChannelHandle},
    handler::{AttemptContext, Handler},
};
use async_trait::async_trait;
use attempt::{Progress, UploadAttempt};
use contract::{api::Outcome, command::ProductUpload, state::Effect};
use engine::store::{AttemptError, Success};
use std::sync::Arc;

/// Handler of `product.upload`.
///
/// Every attempt converges: it runs the steps of the channel's file from the first one, and
/// each step that changes something has a condition on what the finds before it said. So an
/// attempt after a lost response is the same code as the first one.
pub struct ProductUploadHandler {
    /// Client of the channel.
    pub channel: Arc<ChannelHandle>,
}

#[async_trait]
impl Handler<ProductUpload> for ProductUploadHandler {
    async fn run(
        &self,
        ProductUpload { product, .. }: ProductUpload,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let client = self.channel.current();
        let mut attempt = UploadAttempt::new(&client, &product, context);
        let progress = attempt.run().await?;
        let reference = attempt.reference();
        match progress {
            Progress::Effect(effect) => Ok(success(&client, effect, reference)),
            Progress::NothingToDo => Ok(already_there(&client, &attempt, reference)),
        }
    }

    /// Runs the steps up to the first one that would change something. If the product is not
    /// as it is to be, this upload was not stored only if the service's last change is
    /// earlier than the acceptance of the task.
    async fn reconcile(
        &self,
        ProductUpload { product, .. }: ProductUpload,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        let client = self.channel.current();
        let name = client.name();
        let mut attempt = UploadAttempt::new(&client, &product, context);
        match attempt.find_out_whether_done().await? {
            Some(true) => {
                let reference = attempt.reference();
                return Ok(already_there(&client, &attempt, reference));
            }
            Some(false) => {}
            None => {
                let message = format!(
                    "It was stopped in the middle, and the file of {name} has no step that finds \
                     out whether it was done."
                );
                return Err(AttemptError::NeedsReview(Outcome::new("outcome_unknown", message)));
            }
        }
        attempt.context.ensure_settled(client.settle_time())?;
        if !attempt.exists()? {
            return Err(AttemptError::not_done(format!("{name} does not have it.")));
        }
        if attempt.updated_at_ms().is_some_and(|at| !attempt.is_after_acceptance(at)) {
            let message = format!("{name} has it as it was before this upload.");
            return Err(AttemptError::not_done(message));
        }
        let message = format!(
            "{name} has another version of it. Nobody can tell whether this upload was stored \
             before that, or only in part."
        );
        Err(AttemptError::NeedsReview(Outcome::new("changed_since", message)))
    }
}

/// Returns the success for a product that the channel has as it is to be: after a call whose
/// response was lost this task may have stored it.
fn already_there(
    client: &ChannelClient,
    attempt: &UploadAttempt<'_, '_>,
    reference: Option<String>,
) -> Success {
    let is_ours = attempt.context.task.outcome_unknown()
        && attempt.updated_at_ms().is_none_or(|at| attempt.is_after_acceptance(at));
    if !is_ours {
        return success(client, Effect::Unchanged, reference);
    }
    let is_new = attempt.created_at_ms().is_some_and(|at| attempt.is_after_acceptance(at));
    let effect = if is_new { Effect::Created } else { Effect::Updated };
    let message = format!("{} had stored it, but its response was lost.", client.name());
    success_with_message(effect, message, reference)
}

fn success(client: &ChannelClient, effect: Effect, reference: Option<String>) -> Success {
    let name = client.name();
    let message = match effect {
        Effect::Created => format!("{name} stored it."),
        Effect::Updated => format!("{name} updated it."),
        Effect::Unchanged => format!("{name} has it already, with the same content."),
    };
    success_with_message(effect, message, reference)
}

fn success_with_message(effect: Effect, message: String, reference: Option<String>) -> Success {
    let outcome = Outcome { reference, ..Outcome::new(effect.as_str(), message) };
    Success::new(outcome).with_effect(effect)
}
