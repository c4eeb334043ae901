//! Metrics of deliveries, claims and attempts.

use contract::metric;
use engine::store::{AttemptError, AttemptResult, Claim};
use metrics::{counter, histogram};
use std::time::Duration;

pub(crate) fn count_claim(claim: &Claim) {
    let result = match claim {
        Claim::Claimed(_) => "claimed",
        Claim::Superseded(_) => "superseded",
        Claim::KeyInUse => "key_in_use",
        Claim::NotClaimable => "not_claimable",
    };
    counter!(metric::CLAIMS, "result" => result).increment(1);
}

pub(crate) fn observe_attempt(command: &str, result: &AttemptResult, duration: Duration) {
    let result = match result {
        Ok(_) => "succeeded",
        Err(AttemptError::Failed(_)) => "failed",
        Err(AttemptError::Rejected(_)) => "rejected",
        Err(AttemptError::NotDone(_)) => "not_done",
        Err(AttemptError::Retry { outcome_unknown: false, .. }) => "retry",
        Err(AttemptError::Retry { outcome_unknown: true, .. }) => "outcome_unknown",
        Err(AttemptError::Cooldown { .. }) => "cooldown",
        Err(AttemptError::NoRatePermit { .. }) => "no_rate_permit",
        Err(AttemptError::Wait { .. }) => "wait",
        Err(AttemptError::NeedsReview(_)) => "needs_review",
    };
    let command = command.to_owned();
    histogram!(metric::ATTEMPT_DURATION_SECONDS, "command" => command.clone()).record(duration);
    counter!(metric::ATTEMPTS, "command" => command, "result" => result).increment(1);
}

pub(crate) fn count_lost_lease() {
    counter!(metric::LEASES_LOST).increment(1);
}

pub(crate) fn count_rejected_message(queue: &str) {
    counter!(metric::MESSAGES_REJECTED, "queue" => queue.to_owned()).increment(1);
}
