//! An attempt: from the claim of a task to the result that is saved.

use super::{DeliveryProcessor, RECONNECT_BACKOFF, attempt_trace::AttemptTrace, request_timeout};
use crate::{handler::AttemptContext, metrics};
use contract::{api::Outcome, websocket::TaskStarted};
use engine::{
    event_bus::HubEvent,
    limiter::UpstreamPermit,
    store::{self, AttemptError, AttemptResult, ClaimedTask, FinishAttempt},
};
use futures_util::FutureExt;
use std::{any::Any, panic::AssertUnwindSafe, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Timeout of a handler, as a fraction of the lease.
const HANDLER_SHARE_OF_LEASE: f64 = 5.0 / 6.0;
/// Delay after which the start of an attempt is broadcast: a shorter attempt is
/// reported only by its result.
const STARTED_EVENT_DELAY: Duration = Duration::from_millis(20);
/// Maximum length of the panic message that is shown, in characters.
const MAX_PANIC_MESSAGE_CHARS: usize = 200;

impl DeliveryProcessor {
    /// Runs the handler and saves its result. If the result can't be saved, the
    /// delivery is acknowledged nevertheless: no other attempt may begin before the lease
    /// has expired and the reaper has marked the outcome as unknown.
    pub async fn run_attempt(
        &self,
        claimed: ClaimedTask,
        mut permit: Option<UpstreamPermit>,
        trace: AttemptTrace,
    ) {
        let shared = &self.shared;
        let start = Instant::now();
        let (result, last_upstream) = tokio::select! {
            result = self.call_handler(&claimed, permit.as_mut()) => result,
            () = self.report_started_and_keep_lease(&claimed) => {
                tracing::warn!(task = %claimed.id, "the lease was lost; the attempt is dropped");
                metrics::count_lost_lease();
                trace.end(&claimed, None);
                return;
            }
        };
        drop(permit);
        metrics::observe_attempt(&claimed.kind, &result, start.elapsed());
        if let (Err(AttemptError::Cooldown { outcome, reason, wait, .. }), Some(upstream)) =
            (&result, last_upstream.as_deref().or(self.upstream.as_deref()))
        {
            // A person has to act: those whose items wait are told what to do.
            let message = (!reason.is_throttling()).then_some(outcome.message.as_str());
            let limiters = &shared.limiters;
            limiters.start_cooldown_with_message(upstream, *wait, *reason, message).await;
        }
        let finish_attempt = FinishAttempt {
            task: claimed.id,
            fence: claimed.fence,
            worker: shared.worker_name.clone(),
            traceparent: Some(trace.context().to_string()),
            result,
        };
        let mut commit = trace.begin_part("commit");
        let saved = self.save_result_with_retry(&finish_attempt).await;
        if let Err(error) = &saved {
            commit.fail(|| error.to_string());
        }
        commit.end();
        trace.end(&claimed, Some(&finish_attempt.result));
        match saved {
            Ok(()) => shared.relay_waker.wake(),
            Err(error) => {
                tracing::error!(
                    task = %claimed.id, %error, "the result of an attempt could not be saved"
                );
            }
        }
    }

    /// Runs the handler, and returns its result with the upstream of its last request.
    async fn call_handler(
        &self,
        claimed: &ClaimedTask,
        permit: Option<&mut UpstreamPermit>,
    ) -> (AttemptResult, Option<String>) {
        let (start, lease) = (Instant::now(), self.shared.lease_duration);
        let handler_timeout = lease.mul_f64(HANDLER_SHARE_OF_LEASE);
        let latest_request_start = start + handler_timeout.saturating_sub(request_timeout(lease));
        let limiters = self.upstream.is_some().then_some(&self.shared.limiters);
        let mut context = AttemptContext::new(claimed, permit, limiters, latest_request_start);
        let handler_future = AssertUnwindSafe(self.handler.run(&mut context)).catch_unwind();
        let result = timeout_at(start + handler_timeout, handler_future).await;
        let result = match result {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                let message = panic_message(panic.as_ref());
                tracing::error!(task = %claimed.id, message, "a handler panicked");
                let outcome_unknown = context.may_have_sent() || claimed.outcome_unknown();
                Err(AttemptError::Retry {
                    outcome: Outcome::new("panic", message),
                    outcome_unknown,
                })
            }
            Err(_) => Err(AttemptError::retry_outcome_unknown("timeout", "No answer in time.")),
        };
        (result, context.into_last_upstream())
    }

    /// Broadcasts the start of an attempt that takes longer than
    /// [`STARTED_EVENT_DELAY`], and renews its lease. Returns when the lease is lost.
    async fn report_started_and_keep_lease(&self, claimed: &ClaimedTask) {
        sleep(STARTED_EVENT_DELAY).await;
        let started = TaskStarted {
            task: claimed.id,
            job: claimed.job,
            attempt: claimed.attempt,
            at: claimed.started_at,
        };
        self.shared.event_bus.broadcast(HubEvent::TaskStarted(claimed.user, started));
        self.renew_lease_until_lost(claimed).await;
    }

    /// Returns when the lease is lost, or could not be renewed before it expires.
    async fn renew_lease_until_lost(&self, claimed: &ClaimedTask) {
        let renewal_interval = self.shared.lease_duration / 3;
        let mut failures = 0;
        loop {
            sleep(renewal_interval).await;
            match self.shared.store.tasks.renew_lease(claimed.id, claimed.fence).await {
                Ok(true) => failures = 0,
                Ok(false) => return,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(task = %claimed.id, %error, "could not renew a lease");
                    if failures == 2 {
                        return;
                    }
                }
            }
        }
    }

    /// Saves the result of an attempt, with retries, because the outcome of one that is not
    /// saved counts as unknown. While the database can't write, mostly because its disk
    /// is full, nobody else can take the task either: saving and renewing the lease are
    /// then retried until it can.
    async fn save_result_with_retry(
        &self,
        finish_attempt: &FinishAttempt,
    ) -> Result<(), store::Error> {
        let mut backoff = RECONNECT_BACKOFF[0];
        loop {
            match self.shared.finish_batcher.submit(finish_attempt.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_defect() => return Err(error),
                Err(error) if backoff >= RECONNECT_BACKOFF[1] && !error.cannot_write() => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "could not save the result of an attempt; retrying");
                    if error.cannot_write()
                        && let Err(error) = self
                            .shared
                            .store
                            .tasks
                            .renew_lease(finish_attempt.task, finish_attempt.fence)
                            .await
                    {
                        tracing::debug!(%error, "could not renew a lease");
                    }
                }
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(RECONNECT_BACKOFF[1]);
        }
    }
}

/// Returns the message about a panic that people see.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match message.map(|text| text.chars().take(MAX_PANIC_MESSAGE_CHARS).collect::<String>()) {
        Some(text) => format!("An internal error occurred while processing this item: {text}"),
        None => "An internal error occurred while processing this item.".into(),
    }
}
