//! Names of all metrics, with their help texts. Code that records a metric uses its constant,
//! and the server describes all of them to Prometheus. `docs/OPERATING.md` lists the same
//! names and explains how to use them.

/// Defines a constant for the name of each metric, and a list of all names with their help
/// texts.
macro_rules! metrics {
    ($(#[$list_doc:meta])* $list:ident { $($constant:ident = $name:literal: $help:literal,)+ }) => {
        $(#[doc = $help] pub const $constant: &str = $name;)+
        $(#[$list_doc])*
        pub const $list: &[(&str, &str)] = &[$(($constant, $help)),+];
    };
}

metrics! {
    /// All counters: name and help text.
    COUNTERS {
        JOBS_ACCEPTED = "meanwhile_jobs_accepted_total": "Jobs that were launched, by kind.",
        TASKS_ACCEPTED = "meanwhile_tasks_accepted_total":
            "Tasks that jobs were launched with, by kind of job.",
        FOLLOW_UP_TASKS_CREATED = "meanwhile_follow_up_tasks_created_total":
            "Follow-up tasks that other tasks created, by command.",
        TASKS_FINISHED = "meanwhile_tasks_finished_total":
            "Tasks that finished, by command and state.",
        TASKS_REQUEUED = "meanwhile_tasks_requeued_total":
            "Tasks that returned to the queue, by command and what they wait for.",
        JOBS_FINISHED = "meanwhile_jobs_finished_total": "Jobs that finished, by kind and state.",
        ATTEMPTS = "meanwhile_attempts_total": "Attempts, by command and result.",
        CLAIMS = "meanwhile_claims_total": "Deliveries, by result of their claim.",
        LEASES_LOST = "meanwhile_leases_lost_total":
            "Attempts that were aborted because their lease was lost.",
        TASKS_REAPED = "meanwhile_tasks_reaped_total":
            "Tasks that were taken back from lost workers.",
        TASKS_PUBLISHED = "meanwhile_tasks_published_total":
            "Messages that the broker confirmed, by queue.",
        PUBLISH_FAILURES = "meanwhile_publish_failures_total":
            "Messages that the broker did not confirm, by queue.",
        TASKS_REPUBLISHED = "meanwhile_tasks_republished_total":
            "Tasks that are published again because the broker lost their message, by queue.",
        MESSAGES_REJECTED = "meanwhile_messages_rejected_total":
            "Messages that could not be parsed, by queue.",
        LIMITER_REJECTIONS = "meanwhile_limiter_rejections_total":
            "Calls that the rate limiter deferred, by upstream and reason.",
        LIMITER_COOLDOWNS = "meanwhile_limiter_cooldowns_total":
            "Cooldowns that an upstream demanded, by upstream.",
        WEBSOCKET_FRAMES_SENT = "meanwhile_websocket_frames_sent_total":
            "Frames that were sent to WebSockets.",
        WEBSOCKET_RESYNCS = "meanwhile_websocket_resyncs_total":
            "Times that a WebSocket had to read from the database, by reason.",
        WEBSOCKETS_CLOSED = "meanwhile_websockets_closed_total":
            "WebSockets that the server closed, by code.",
        HUB_EVENTS_MISSED = "meanwhile_hub_events_missed_total":
            "Events that the hub missed because it had fallen behind.",
        HTTP_REQUESTS = "meanwhile_http_requests_total": "Requests, by method, route and status.",
        ADMISSION_REJECTIONS = "meanwhile_admission_rejections_total":
            "Requests and connections that were rejected, by the limit that was reached.",
        RESPONSE_WRITE_TIMEOUTS = "meanwhile_response_write_timeouts_total":
            "Connections that were closed because their client did not read what was sent.",
        CONNECTIONS_EVICTED = "meanwhile_connections_evicted_total":
            "Connections that waited for their client and were closed in favour of another client.",
        REQUEST_BODY_TIMEOUTS = "meanwhile_request_body_timeouts_total":
            "Requests that were ended because their body stalled.",
        DATABASE_ERRORS = "meanwhile_database_errors_total":
            "Requests that failed because of a database error.",
        PANICS = "meanwhile_panics_total": "Panics of this process; each is a bug.",
        INTERNAL_ERRORS = "meanwhile_internal_errors_total":
            "Requests that failed because of a bug in Meanwhile; the log says why.",
    }
}

metrics! {
    /// All histograms: name and help text.
    HISTOGRAMS {
        ATTEMPT_DURATION_SECONDS = "meanwhile_attempt_duration_seconds":
            "Duration of attempts, by command.",
        LIMITER_WAIT_SECONDS = "meanwhile_limiter_wait_seconds":
            "Time spent waiting for a concurrency slot and a rate permit, by upstream.",
        FACT_DELAY_SECONDS = "meanwhile_fact_delay_seconds":
            "Time from the commit of a fact until the hub sends it to WebSockets.",
        HTTP_REQUEST_DURATION_SECONDS = "meanwhile_http_request_duration_seconds":
            "Time from a request to its response head, by route.",
    }
}

metrics! {
    /// All gauges: name and help text.
    GAUGES {
        UP = "meanwhile_up":
            "Whether the database, the broker and the rate limiter answer, by component.",
        TASKS = "meanwhile_tasks": "Unfinished tasks of all users, by queue and state.",
        OLDEST_DUE_TASK_AGE_SECONDS = "meanwhile_oldest_due_task_age_seconds":
            "How long the oldest due task has not been published, by queue.",
        JOBS_RUNNING = "meanwhile_jobs_running": "Running jobs of all users.",
        QUEUE_MESSAGES = "meanwhile_queue_messages":
            "Messages that are ready for delivery, by queue.",
        QUEUE_CONSUMERS = "meanwhile_queue_consumers": "Consumers, by queue.",
        UPSTREAM_COOLDOWN_SECONDS = "meanwhile_upstream_cooldown_seconds":
            "Time until the cooldown ends, by upstream.",
        UPSTREAM_RATE_LIMIT = "meanwhile_upstream_rate_limit":
            "Requests per second that the rate limiter permits, by upstream.",
        UPSTREAM_ATTEMPTS_IN_FLIGHT = "meanwhile_upstream_attempts_in_flight":
            "Attempts in flight, by upstream.",
        WEBSOCKETS_OPEN = "meanwhile_websockets_open": "Open WebSockets of this node.",
        BUILD_INFO = "meanwhile_build_info": "Always 1, labelled with the version.",
    }
}

/// Counters without labels. They start at 0, because a rate needs a value before the first
/// event.
pub const UNLABELED_COUNTERS: &[&str] = &[
    LEASES_LOST,
    TASKS_REAPED,
    WEBSOCKET_FRAMES_SENT,
    HUB_EVENTS_MISSED,
    REQUEST_BODY_TIMEOUTS,
    RESPONSE_WRITE_TIMEOUTS,
    CONNECTIONS_EVICTED,
    DATABASE_ERRORS,
    PANICS,
    INTERNAL_ERRORS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_metric_is_in_the_operators_manual_and_has_a_name_of_its_own() {
        let manual = include_str!("../../../docs/OPERATING.md");
        let mut names = BTreeSet::new();
        for (name, _) in COUNTERS.iter().chain(HISTOGRAMS).chain(GAUGES) {
            assert!(manual.contains(&format!("`{name}`")), "{name} is not in docs/OPERATING.md");
            assert!(names.insert(name), "two metrics are called {name}");
        }
        for name in UNLABELED_COUNTERS {
            assert!(COUNTERS.iter().any(|(known, _)| known == name), "{name}");
        }
    }
}
