//! Every measure by its name, with what it says. `docs/OPERATING.md` has the
//! same names, with what to make of them.

use metrics::{describe_counter, describe_gauge, describe_histogram};

pub(super) const COUNTERS: [(&str, &str); 28] = [
    ("meanwhile_jobs_accepted_total", "Jobs that were launched, by kind."),
    ("meanwhile_tasks_accepted_total", "Tasks that jobs were launched with, by the job's kind."),
    ("meanwhile_tasks_caused_total", "Tasks that other tasks caused, by command."),
    ("meanwhile_tasks_ended_total", "Tasks that came to an end, by command and end."),
    (
        "meanwhile_tasks_requeued_total",
        "Tasks that went back to the queue, by command and what they wait for.",
    ),
    ("meanwhile_jobs_ended_total", "Jobs that came to an end, by kind and end."),
    ("meanwhile_attempts_total", "Attempts by command and how they ended."),
    ("meanwhile_claims_total", "Deliveries by what became of their claim."),
    ("meanwhile_leases_lost_total", "Calls that were dropped because their lease was lost."),
    ("meanwhile_reaped_total", "Tasks that were taken back from lost workers."),
    ("meanwhile_published_total", "Messages that the broker confirmed, by queue."),
    ("meanwhile_publish_failures_total", "Messages that the broker did not confirm, by queue."),
    (
        "meanwhile_unpublished_total",
        "Tasks that are published anew because the broker lost their message, by queue.",
    ),
    ("meanwhile_rejected_messages_total", "Messages that could not be read, by queue."),
    (
        "meanwhile_gate_refusals_total",
        "Entries that an account's gate put off, by account and why.",
    ),
    ("meanwhile_gate_closings_total", "Times that a service closed its account, by account."),
    ("meanwhile_frames_sent_total", "Frames that were sent to sockets."),
    ("meanwhile_resyncs_total", "Times that a socket had to read from the store, by why."),
    ("meanwhile_sockets_closed_total", "Sockets that were closed from here, by code."),
    ("meanwhile_hub_missed_total", "News that the hub did not hear because it was behind."),
    ("meanwhile_http_requests_total", "Requests by method, route and status."),
    (
        "meanwhile_overload_refusals_total",
        "Requests that were turned away at once, by the bound they met.",
    ),
    (
        "meanwhile_unread_answers_total",
        "Connections that were ended because their client took nothing of what was sent.",
    ),
    (
        "meanwhile_connections_displaced_total",
        "Connections that waited for their client and were ended in favour of another client.",
    ),
    ("meanwhile_silent_bodies_total", "Requests that were ended because their sender fell silent."),
    ("meanwhile_store_failures_total", "Requests that the database did not answer."),
    ("meanwhile_panics_total", "Panics of this process, each a bug."),
    ("meanwhile_defects_total", "Requests at which our own code failed; the log says why."),
];

pub(super) const HISTOGRAMS: [(&str, &str); 4] = [
    ("meanwhile_attempt_seconds", "How long attempts took, by command."),
    ("meanwhile_gate_wait_seconds", "How long a place and a slot were waited for, by account."),
    ("meanwhile_fact_delay_seconds", "From a fact's commit to the hub that hands it to sockets."),
    ("meanwhile_http_request_seconds", "From a request to the head of its answer, by route."),
];

pub(super) const GAUGES: [(&str, &str); 14] = [
    ("meanwhile_up", "Whether the database, the broker and the gates answer."),
    ("meanwhile_tasks", "Open tasks of all users, by queue and state."),
    (
        "meanwhile_oldest_due_seconds",
        "For how long the first task that is due has not been published, by queue.",
    ),
    ("meanwhile_jobs", "Jobs that run, of all users."),
    ("meanwhile_queue_messages", "Messages that no worker holds, by queue."),
    ("meanwhile_queue_consumers", "Workers that consume, by queue."),
    ("meanwhile_account_closed_seconds", "For how long the account is still closed."),
    ("meanwhile_account_pace", "Requests a second that the gate lets through."),
    ("meanwhile_account_calls", "Calls under way."),
    ("meanwhile_sockets", "Sockets that are open on this node."),
    ("meanwhile_build_info", "1, with the version."),
    ("process_resident_memory_bytes", "Memory of this process."),
    ("process_open_fds", "Files and connections that this process has open."),
    ("process_start_time_seconds", "When this process began, UTC."),
];

/// Those without labels: a rate needs a first value before the first event.
const PLAIN: [&str; 10] = [
    "meanwhile_leases_lost_total",
    "meanwhile_reaped_total",
    "meanwhile_frames_sent_total",
    "meanwhile_hub_missed_total",
    "meanwhile_silent_bodies_total",
    "meanwhile_unread_answers_total",
    "meanwhile_connections_displaced_total",
    "meanwhile_store_failures_total",
    "meanwhile_panics_total",
    "meanwhile_defects_total",
];

pub(super) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(name, help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
    }
    for name in PLAIN {
        metrics::counter!(name).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_operators_manual() {
        let manual = include_str!("../../../docs/OPERATING.md");
        for (name, _) in COUNTERS.iter().chain(&HISTOGRAMS).chain(&GAUGES) {
            assert!(manual.contains(&format!("`{name}")), "{name} is not in docs/OPERATING.md");
        }
        for name in PLAIN {
            assert!(COUNTERS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
