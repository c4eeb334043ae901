//! Metrics of facts and rate limiters.

use crate::limiter::{self, AcquireError};
use contract::{
    api::Task,
    fact::{Fact, FactKind},
    metric,
};
use metrics::{counter, histogram};
use std::time::Duration;

/// Value of the label `command` for tasks that one statement cancelled, which may be of
/// several commands.
const MULTIPLE_COMMANDS: &str = "multiple";

/// Counts what facts say happened. Each fact is counted once, by the process that
/// committed it.
pub(crate) fn count_facts(facts: &[Fact]) {
    facts.iter().for_each(count_fact);
}

fn count_fact(fact: &Fact) {
    let data = &fact.data;
    match (fact.kind, &data.job, &data.task) {
        (FactKind::JobAccepted, Some(job), _) => {
            let kind = job.kind.as_str();
            counter!(metric::JOBS_ACCEPTED, "kind" => kind).increment(1);
            let total = job.counts.total.into();
            counter!(metric::TASKS_ACCEPTED, "kind" => kind).increment(total);
        }
        (FactKind::JobFinished, Some(job), _) => {
            let (kind, state) = (job.kind.as_str(), job.state.as_str());
            counter!(metric::JOBS_FINISHED, "kind" => kind, "state" => state).increment(1);
        }
        (FactKind::JobCancelling, _, _) => {
            let count = data.count.unwrap_or_default().into();
            record_tasks_finished(MULTIPLE_COMMANDS.into(), "cancelled", count);
        }
        (FactKind::TaskCreated, _, Some(task)) => {
            let command = task.kind.clone();
            counter!(metric::FOLLOW_UP_TASKS_CREATED, "command" => command).increment(1);
        }
        (FactKind::TaskRequeued, _, Some(task)) => record_task_requeued(task),
        (
            FactKind::TaskSucceeded
            | FactKind::TaskFailed
            | FactKind::TaskRejected
            | FactKind::TaskCancelled
            | FactKind::TaskNeedsReview,
            _,
            Some(task),
        ) => record_tasks_finished(task.kind.clone(), task.state.as_str(), 1),
        _ => {}
    }
}

fn record_tasks_finished(command: String, state: &'static str, count: u64) {
    counter!(metric::TASKS_FINISHED, "command" => command, "state" => state).increment(count);
}

fn record_task_requeued(task: &Task) {
    let waiting_for = task.waiting_for.as_ref().map_or("none", |wait| wait.reason.as_str());
    let command = task.kind.clone();
    counter!(metric::TASKS_REQUEUED, "command" => command, "waiting_for" => waiting_for)
        .increment(1);
}

/// Records an attempt to acquire a permit for `upstream`.
pub(crate) fn record_acquire(upstream: &str, waited: Duration, error: Option<&AcquireError>) {
    let upstream = upstream.to_owned();
    let reason = match error {
        None => {
            histogram!(metric::LIMITER_WAIT_SECONDS, "upstream" => upstream).record(waited);
            return;
        }
        Some(AcquireError::RetryAfter { in_cooldown: true, .. }) => "cooldown",
        Some(AcquireError::RetryAfter { in_cooldown: false, .. }) => "rate",
        Some(AcquireError::Paused { .. }) => "paused",
        Some(AcquireError::Limiter(limiter::Error::Misconfigured(_))) => "misconfigured",
        Some(AcquireError::Limiter(limiter::Error::Unreachable(_))) => "unreachable",
    };
    counter!(metric::LIMITER_REJECTIONS, "upstream" => upstream, "reason" => reason).increment(1);
}

/// Records a cooldown that `upstream` has caused.
pub(crate) fn record_cooldown(upstream: &str) {
    counter!(metric::LIMITER_COOLDOWNS, "upstream" => upstream.to_owned()).increment(1);
}
