//! What happened to one item, in order: its attempts and its requests at the channel.

use contract::api::{Attempt, Task};
use std::collections::{BTreeMap, HashSet};
use testbed::api::{RecordedRequest, ServiceRecord};

/// Describes an item's attempts and its requests in the ledger, with their times since
/// `start_ms`. All clocks are those of this host.
pub fn describe_item(
    task: &Task,
    attempts: &[Attempt],
    ledger: &BTreeMap<String, ServiceRecord>,
    start_ms: i64,
) -> String {
    let channel = task.channel.as_deref().unwrap_or_default();
    let requests = ledger.get(channel).map_or(&[][..], |record| &record.requests);
    let requests = requests.iter().filter(|request| request.sku.as_deref() == Some(&*task.sku));
    let attempts = attempts.iter().map(|attempt| {
        let Attempt { number, started_at, ended_at, worker, outcome } = attempt;
        let times = format!("{}–{}", seconds(started_at - start_ms), seconds(ended_at - start_ms));
        (*started_at, format!("attempt {number} {times} by {worker}: {}", outcome.code))
    });
    let mut events: Vec<_> = attempts
        .chain(requests.map(|request| (request.at_ms, describe(request, start_ms))))
        .collect();
    events.sort_by_key(|(at, _)| *at);
    let code = task.outcome.as_ref().map_or("no outcome", |outcome| &outcome.code);
    let ended = seconds(task.updated_at - start_ms);
    let events: Vec<_> = events.into_iter().map(|(_, event)| event).collect();
    format!("{} is {} ({code}) at {ended}: {}", task.key, task.state, events.join("; "))
}

/// Counts the requests about one of `tasks` that were carried out and whose answer was
/// lost.
pub fn count_lost_answers<'a>(
    tasks: impl IntoIterator<Item = &'a Task>,
    ledger: &BTreeMap<String, ServiceRecord>,
) -> usize {
    let items: HashSet<_> =
        tasks.into_iter().map(|task| (task.channel.as_deref(), Some(&*task.sku))).collect();
    let requests = ledger.iter().flat_map(|(channel, record)| {
        record.requests.iter().map(move |request| (&**channel, request))
    });
    let lost = requests.filter(|(_, request)| request.connection_dropped);
    lost.filter(|(channel, request)| items.contains(&(Some(channel), request.sku.as_deref())))
        .count()
}

fn describe(request: &RecordedRequest, start_ms: i64) -> String {
    let answer = match (request.status, request.connection_dropped) {
        (Some(status), _) => status.to_string(),
        (None, true) => "carried out, answer lost".to_owned(),
        (None, false) => "no answer".to_owned(),
    };
    format!("{} {}: {answer}", request.action, seconds(request.at_ms - start_ms))
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ms: i64) -> String {
    format!("{:.2} s", ms as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::outcomes::sample_task;
    use contract::{api::Outcome, state::TaskState};

    #[test]
    fn attempts_and_requests_are_in_order() {
        let mut task = sample_task("corner", "M", TaskState::Cancelled, "cancelled");
        task.updated_at = 13_000;
        let attempts = [Attempt {
            number: 1,
            started_at: 10_100,
            ended_at: 12_000,
            worker: "w-1".into(),
            outcome: Outcome::new("connection_dropped", ""),
        }];
        let request = |sku: &str, at_ms, status, connection_dropped| RecordedRequest {
            at_ms,
            action: "POST".into(),
            sku: Some(sku.into()),
            status,
            connection_dropped,
            ..RecordedRequest::default()
        };
        let requests = vec![
            request("M", 10_500, None, true),
            request("X", 10_600, Some(201), false),
            request("M", 12_500, Some(409), false),
        ];
        let record = ServiceRecord { requests, effects: Vec::new() };
        let ledger = BTreeMap::from([("corner".to_owned(), record)]);
        assert_eq!(
            describe_item(&task, &attempts, &ledger, 10_000),
            "corner/M is cancelled (cancelled) at 3.00 s: \
             attempt 1 0.10 s–2.00 s by w-1: connection_dropped; \
             POST 0.50 s: carried out, answer lost; POST 2.50 s: 409"
        );
        assert_eq!(count_lost_answers([&task], &ledger), 1);
        let other = sample_task("acme", "M", TaskState::Cancelled, "cancelled");
        assert_eq!(count_lost_answers([&other], &ledger), 0);
    }
}
