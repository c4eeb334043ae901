//! Metrics of deliveries, claims and attempts.

use engine::store::{AttemptError, AttemptOutcome, Claim};
use metrics::{counter, histogram};
use std::time::Duration;

pub(crate) fn count_claim(claim: &Claim) {
    let result = match claim {
        Claim::Claimed(_) => "claimed",
        Claim::Superseded(_) => "superseded",
        Claim::Locked => "locked",
        Claim::NotClaimable => "not_claimable",
    };
    counter!("meanwhile_claims_total", "result" => result).increment(1);
}

pub(crate) fn observe_attempt(command: &str, outcome: &AttemptOutcome, duration: Duration) {
    let outcome = match outcome {
        Ok(_) => "succeeded",
        Err(AttemptError::Failed(_)) => "failed",
        Err(AttemptError::Retry { outcome_unknown: false, .. }) => "retry",
        Err(AttemptError::Retry { outcome_unknown: true, .. }) => "outcome_unknown",
        Err(AttemptError::Cooldown { .. }) => "cooldown",
        Err(AttemptError::NoRatePermit { .. }) => "no_rate_permit",
        Err(AttemptError::Wait { .. }) => "wait",
        Err(AttemptError::NeedsReview(_)) => "needs_review",
    };
    let command = command.to_owned();
    histogram!("meanwhile_attempt_duration_seconds", "command" => command.clone()).record(duration);
    counter!("meanwhile_attempts_total", "command" => command, "outcome" => outcome).increment(1);
}

pub(crate) fn count_lost_lease() {
    counter!("meanwhile_leases_lost_total").increment(1);
}

pub(crate) fn count_rejected_message(queue: &str) {
    counter!("meanwhile_messages_rejected_total", "queue" => queue.to_owned()).increment(1);
}
