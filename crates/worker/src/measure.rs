//! What is counted of deliveries, claims and attempts.

use crate::handler::Answer;
use engine::store::Claim;
use metrics::{counter, histogram};
use std::time::Duration;

pub(crate) fn claim(claim: &Claim) {
    let result = match claim {
        Claim::Claimed(_) => "claimed",
        Claim::Superseded(_) => "superseded",
        Claim::Locked => "locked",
        Claim::Nothing => "nothing",
    };
    counter!("meanwhile_claims_total", "result" => result).increment(1);
}

pub(crate) fn attempt(command: &str, answer: &Answer, took: Duration) {
    let outcome = match answer {
        Answer::Done { .. } => "done",
        Answer::Failed(_) => "failed",
        Answer::Retry { unsure: false, .. } => "retry",
        Answer::Retry { unsure: true, .. } => "unsure",
        Answer::Closed { .. } => "closed",
        Answer::Paced { .. } => "paced",
        Answer::Wait { .. } => "wait",
        Answer::NeedsPerson(_) => "needs_person",
    };
    let command = command.to_owned();
    histogram!("meanwhile_attempt_seconds", "command" => command.clone()).record(took);
    counter!("meanwhile_attempts_total", "command" => command, "outcome" => outcome).increment(1);
}

pub(crate) fn lease_lost() {
    counter!("meanwhile_leases_lost_total").increment(1);
}

pub(crate) fn rejected(queue: &str) {
    counter!("meanwhile_rejected_messages_total", "queue" => queue.to_owned()).increment(1);
}
