//! Names and descriptions of all metrics. `docs/OPERATING.md` lists the same
//! names and explains how to use them.

use metrics::{describe_counter, describe_gauge, describe_histogram};

pub(super) const COUNTERS: [(&str, &str); 28] = [
    ("meanwhile_jobs_accepted_total", "Jobs that were launched, by kind."),
    ("meanwhile_tasks_accepted_total", "Tasks that jobs were launched with, by kind of job."),
    (
        "meanwhile_follow_up_tasks_created_total",
        "Follow-up tasks that other tasks created, by command.",
    ),
    ("meanwhile_tasks_finished_total", "Tasks that finished, by command and state."),
    (
        "meanwhile_tasks_requeued_total",
        "Tasks that returned to the queue, by command and what they wait for.",
    ),
    ("meanwhile_jobs_finished_total", "Jobs that finished, by kind and state."),
    ("meanwhile_attempts_total", "Attempts, by command and outcome."),
    ("meanwhile_claims_total", "Deliveries, by result of their claim."),
    ("meanwhile_leases_lost_total", "Calls that were aborted because their lease was lost."),
    ("meanwhile_tasks_reaped_total", "Tasks that were taken back from lost workers."),
    ("meanwhile_tasks_published_total", "Messages that the broker confirmed, by queue."),
    ("meanwhile_publish_failures_total", "Messages that the broker did not confirm, by queue."),
    (
        "meanwhile_tasks_republished_total",
        "Tasks that are published again because the broker lost their message, by queue.",
    ),
    ("meanwhile_messages_rejected_total", "Messages that could not be parsed, by queue."),
    (
        "meanwhile_limiter_rejections_total",
        "Calls that the rate limiter deferred, by upstream and reason.",
    ),
    ("meanwhile_limiter_cooldowns_total", "Cooldowns that an upstream demanded, by upstream."),
    ("meanwhile_websocket_frames_sent_total", "Frames that were sent to WebSockets."),
    (
        "meanwhile_websocket_resyncs_total",
        "Times that a WebSocket had to read from the database, by reason.",
    ),
    ("meanwhile_websockets_closed_total", "WebSockets that the server closed, by code."),
    (
        "meanwhile_hub_events_missed_total",
        "Events that the hub missed because it had fallen behind.",
    ),
    ("meanwhile_http_requests_total", "Requests, by method, route and status."),
    (
        "meanwhile_admission_rejections_total",
        "Requests and connections that were rejected, by the limit that was reached.",
    ),
    (
        "meanwhile_response_write_timeouts_total",
        "Connections that were closed because their client did not read what was sent.",
    ),
    (
        "meanwhile_connections_evicted_total",
        "Connections that waited for their client and were closed in favour of another client.",
    ),
    (
        "meanwhile_request_body_timeouts_total",
        "Requests that were ended because their body stalled.",
    ),
    ("meanwhile_database_errors_total", "Requests that failed because of a database error."),
    ("meanwhile_panics_total", "Panics of this process; each is a bug."),
    (
        "meanwhile_internal_errors_total",
        "Requests that failed because of a bug in Meanwhile; the log says why.",
    ),
];

pub(super) const HISTOGRAMS: [(&str, &str); 4] = [
    ("meanwhile_attempt_duration_seconds", "Duration of attempts, by command."),
    (
        "meanwhile_limiter_wait_seconds",
        "Time spent waiting for a concurrency slot and a rate permit, by upstream.",
    ),
    (
        "meanwhile_fact_delay_seconds",
        "Time from the commit of a fact until the hub sends it to WebSockets.",
    ),
    (
        "meanwhile_http_request_duration_seconds",
        "Time from a request to its response head, by route.",
    ),
];

pub(super) const GAUGES: [(&str, &str); 11] = [
    ("meanwhile_up", "Whether the database, the broker and the rate limiter answer, by component."),
    ("meanwhile_tasks", "Unfinished tasks of all users, by queue and state."),
    (
        "meanwhile_oldest_due_task_age_seconds",
        "How long the oldest due task has not been published, by queue.",
    ),
    ("meanwhile_jobs_running", "Running jobs of all users."),
    ("meanwhile_queue_messages", "Messages that are ready for delivery, by queue."),
    ("meanwhile_queue_consumers", "Consumers, by queue."),
    ("meanwhile_upstream_cooldown_seconds", "Time until the cooldown ends, by upstream."),
    (
        "meanwhile_upstream_rate_limit",
        "Requests per second that the rate limiter permits, by upstream.",
    ),
    ("meanwhile_upstream_calls_in_flight", "Calls in flight, by upstream."),
    ("meanwhile_websockets_open", "Open WebSockets of this node."),
    ("meanwhile_build_info", "Always 1, labelled with the version."),
];

/// Counters without labels. They start at 0, because a rate needs a value before
/// the first event.
const UNLABELED_COUNTERS: [&str; 10] = [
    "meanwhile_leases_lost_total",
    "meanwhile_tasks_reaped_total",
    "meanwhile_websocket_frames_sent_total",
    "meanwhile_hub_events_missed_total",
    "meanwhile_request_body_timeouts_total",
    "meanwhile_response_write_timeouts_total",
    "meanwhile_connections_evicted_total",
    "meanwhile_database_errors_total",
    "meanwhile_panics_total",
    "meanwhile_internal_errors_total",
];

/// Registers all descriptions, those of the process included, and the counters
/// without labels.
pub(super) fn describe() {
    metrics_process::Collector::default().describe();
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(name, help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
    }
    for name in UNLABELED_COUNTERS {
        metrics::counter!(name).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_in_the_operators_manual() {
        let manual = include_str!("../../../docs/OPERATING.md");
        for (name, _) in COUNTERS.iter().chain(&HISTOGRAMS).chain(&GAUGES) {
            assert!(manual.contains(&format!("`{name}")), "{name} is not in docs/OPERATING.md");
        }
        for name in UNLABELED_COUNTERS {
            assert!(COUNTERS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
