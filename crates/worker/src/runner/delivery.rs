//! Processing of a delivery, up to the claim of its task.

use super::{DeliveryProcessor, RECONNECT_BACKOFF, attempt_trace::AttemptTrace};
use crate::{
    handler::{no_permit_delay, wait_detail, wait_reason},
    metrics,
};
use contract::{
    api::WaitingFor,
    envelope::{CommandMessage, EnvelopeError},
};
use engine::{
    clock::whole_millis,
    event_bus,
    limiter::{AcquireError, UpstreamPermit},
    store::{self, Claim},
    task_queue::Delivery,
    trace,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Result of processing a delivery.
enum DeliveryResult {
    /// The delivery is finished and can be acknowledged.
    Handled,
    /// The worker stops or no longer consumes: another one receives the delivery.
    LeftUnacknowledged,
}

impl DeliveryProcessor {
    /// Processes and acknowledges a delivery. Errors of the store are retried until
    /// `consumer_ended`: a dropped delivery may be redelivered only when its consumer
    /// is gone, and occupies one of its prefetch slots until then.
    pub async fn process_delivery(
        self,
        queue: &str,
        delivery: Delivery,
        consumer_ended: &CancellationToken,
    ) {
        let mut backoff = RECONNECT_BACKOFF[0];
        loop {
            let result = match &delivery.content {
                Ok(message) => self.process_command(message, consumer_ended).await,
                Err((bytes, error)) => self.save_rejected_message(queue, bytes, error).await,
            };
            match result {
                Ok(DeliveryResult::Handled) => return delivery.ack().await,
                Ok(DeliveryResult::LeftUnacknowledged) => return,
                Err(
                    error @ (store::Error::Database(_)
                    | store::Error::CommitUnknown(_)
                    | store::Error::FilesMissing),
                ) if !error.is_defect() => {
                    tracing::warn!(queue, %error, "processing a delivery failed; retrying");
                }
                // A retry would fail for ever, and occupy a prefetch slot that others
                // need. The delivery is acknowledged instead: the reaper finds that the
                // message is missing, and has the task published again later.
                Err(error) => {
                    tracing::error!(
                        queue, %error, "processing a delivery failed; the reaper will recover it"
                    );
                    return delivery.ack().await;
                }
            }
            tokio::select! {
                () = consumer_ended.cancelled() => return,
                () = sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(RECONNECT_BACKOFF[1]);
        }
    }

    async fn save_rejected_message(
        &self,
        queue: &str,
        bytes: &[u8],
        error: &EnvelopeError,
    ) -> Result<DeliveryResult, store::Error> {
        self.shared.store.tasks.save_rejected_message(queue, bytes, &error.to_string()).await?;
        tracing::error!(queue, %error, "a message can't be read; saved as rejected");
        metrics::count_rejected_message(queue);
        Ok(DeliveryResult::Handled)
    }

    /// Acquires a permit, claims the task and runs an attempt. On an error the
    /// concurrency slot is released. If the claim was committed after all, its fence has
    /// changed: the retry gets [`Claim::NotClaimable`], and the lease expires.
    async fn process_command(
        &self,
        message: &CommandMessage,
        consumer_ended: &CancellationToken,
    ) -> Result<DeliveryResult, store::Error> {
        let shared = &self.shared;
        let attempt_trace = AttemptTrace::begin(message);
        let waiting = attempt_trace.begin_part("wait for a permit");
        let acquired = tokio::select! {
            () = consumer_ended.cancelled() => return Ok(DeliveryResult::LeftUnacknowledged),
            acquired = self.acquire_permit() => acquired,
        };
        let permit = match acquired {
            Ok(permit) => permit,
            Err(error) => {
                let run_after =
                    shared.store.database.now_ms() + whole_millis(no_permit_delay(&error));
                let until = match &error {
                    AcquireError::Paused { pause, .. } => pause.until,
                    AcquireError::RetryAfter { .. } | AcquireError::Limiter(_) => run_after,
                };
                let reason = wait_reason(&error);
                let detail = wait_detail(&shared.limiters, self.upstream.as_deref(), &error).await;
                let waiting_for = WaitingFor { reason, until: Some(until), detail };
                shared
                    .store
                    .tasks
                    .defer_task(message.task, message.fence, run_after, waiting_for)
                    .await?;
                return Ok(DeliveryResult::Handled);
            }
        };
        if permit.is_some() {
            waiting.end();
        }
        let claim = shared.claim_batcher.submit((message.task, message.fence)).await?;
        metrics::count_claim(&claim);
        match claim {
            Claim::Claimed(claimed) => {
                let (context, log_span) = (attempt_trace.context(), attempt_trace.log_span());
                let attempt = self.run_attempt(*claimed, permit, attempt_trace);
                trace::scope(context, attempt.instrument(log_span)).await;
            }
            Claim::Superseded(user_facts) => {
                event_bus::publish_facts(shared.event_bus.as_ref(), user_facts);
            }
            Claim::KeyInUse | Claim::NotClaimable => {}
        }
        Ok(DeliveryResult::Handled)
    }

    /// Acquires a permit of the upstream; returns `None` if the command calls none.
    async fn acquire_permit(&self) -> Result<Option<UpstreamPermit>, AcquireError> {
        match &self.upstream {
            Some(upstream) => self.shared.limiters.acquire(upstream).await.map(Some),
            None => Ok(None),
        }
    }
}
