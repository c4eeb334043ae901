//! The parts that the system depends on, and the workers.

use super::{Column, section};
use crate::labels;
use contract::api::UpstreamStatus;
use engine::{
    engine::PartStatus,
    store::{HeldTask, WorkerHeartbeat},
};
use leptos::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Renders which parts answer, and which channels and accounts can be used.
pub fn parts(parts: &[PartStatus], upstreams: &[UpstreamStatus], now: i64) -> AnyView {
    let own = parts.iter().map(|PartStatus { role, name, answer }| {
        let (state, words) = match answer {
            Ok(took) => ("up", format!("Answered in {} ms.", took.as_millis())),
            Err(why) => ("down", format!("Does not answer: {why}.")),
        };
        part_row(format!("{role} ({name})"), state, words)
    });
    let outside = upstreams.iter().map(|upstream| {
        let (state, words) = upstream_state(upstream, now);
        part_row(upstream.name.clone(), state, words)
    });
    let rows = own.chain(outside).collect();
    let columns = ["Part", "State", "In words"].map(Column::Text);
    let about = "Asked by this process just now; channels and accounts by their last answers.";
    section("parts", "Parts", about.to_owned(), &columns, rows, "There is nothing to ask.")
}

fn part_row(name: String, state: &'static str, words: String) -> AnyView {
    view! {
        <tr data-testid="part" data-up=state>
            <th scope="row">{name}</th>
            <td>{state}</td>
            <td>{words}</td>
        </tr>
    }
    .into_any()
}

fn upstream_state(upstream: &UpstreamStatus, now: i64) -> (&'static str, String) {
    if let Some(pause) = &upstream.pause {
        return ("paused", pause.sentence());
    }
    let cooldown = upstream.limits.iter().filter_map(|limit| limit.cooldown_until).max();
    if let Some(until) = cooldown.filter(|until| *until > now) {
        let left = labels::duration(until - now);
        return (
            "down",
            format!("It asked to wait, or refuses what it is sent; next try in {left}."),
        );
    }
    match &upstream.last_check {
        Some(check) if !check.ok => {
            let when = labels::time_ago(check.at, now);
            ("down", format!("{} Checked {when}.", check.says))
        }
        _ => ("up", "Nothing keeps items from it.".into()),
    }
}

/// Maximum number of running items that are read to say what each worker holds.
pub(super) const HELD_TASKS_LIMIT: u32 = 1_000;

/// Renders the workers, with what each holds. `lease_ms` is the time without a heartbeat after
/// which a worker counts as lost.
pub fn workers(
    heartbeats: &[WorkerHeartbeat],
    held: &[HeldTask],
    lease_ms: i64,
    now: i64,
) -> AnyView {
    let mut by_worker: BTreeMap<&str, Vec<&HeldTask>> = BTreeMap::new();
    for task in held {
        by_worker.entry(&task.worker).or_default().push(task);
    }
    let known: BTreeSet<&str> = heartbeats.iter().map(|worker| worker.name.as_str()).collect();
    // A container that was started again has the name of the one that was lost.
    let is_newest = |worker: &WorkerHeartbeat| {
        let same = heartbeats.iter().filter(|other| other.name == worker.name);
        same.map(|other| other.seen_at).max() == Some(worker.seen_at)
    };
    let announced = heartbeats.iter().map(|worker| {
        let tasks = by_worker.get(worker.name.as_str()).filter(|_| is_newest(worker));
        let tasks = tasks.map_or(&[][..], Vec::as_slice);
        let words = worker_state(worker, lease_ms, now);
        worker_row(&worker.name, &worker.version, words, tasks, now)
    });
    // Those of an older release, and lost ones.
    let others =
        by_worker.iter().filter(|(name, _)| !known.contains(*name)).map(|(name, tasks)| {
            let words = "unknown: it writes no heartbeat".to_owned();
            worker_row(name, "–", words, tasks, now)
        });
    let rows = announced.chain(others).collect();
    let columns = [
        Column::Text("Worker"),
        Column::Text("Version"),
        Column::Text("State"),
        Column::Number("Items"),
        Column::Text("The oldest"),
    ];
    let is_complete = u32::try_from(held.len()).is_ok_and(|count| count < HELD_TASKS_LIMIT);
    let about = match is_complete {
        true => String::new(),
        false => {
            let limit = labels::group_thousands(HELD_TASKS_LIMIT.into());
            format!("Only the {limit} items that have run longest are counted.")
        }
    };
    section("workers", "Workers", about, &columns, rows, "No worker runs.")
}

fn worker_state(worker: &WorkerHeartbeat, lease_ms: i64, now: i64) -> String {
    let silent = now - worker.seen_at;
    if silent > lease_ms {
        let silent = labels::duration(silent);
        return format!("lost: silent for {silent}, what it held is taken back");
    }
    match worker.draining {
        true => "stopping: it finishes what it holds".into(),
        false => format!("running for {}", labels::duration(now - worker.started_at)),
    }
}

fn worker_row(name: &str, version: &str, words: String, tasks: &[&HeldTask], now: i64) -> AnyView {
    let oldest = tasks.first().map(|task| {
        let since = labels::duration(now - task.started_at);
        let kind = labels::task_kind(&task.kind);
        format!("{kind} {}, attempt {}, for {since}", task.sku, task.attempt)
    });
    view! {
        <tr data-testid="worker">
            <th scope="row"><code>{name.to_owned()}</code></th>
            <td>{version.to_owned()}</td>
            <td>{words}</td>
            <td class="number">{labels::group_thousands(tasks.len() as u64)}</td>
            <td>{oldest}</td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_runs_stops_or_is_lost() {
        let worker = |seen_at, draining| WorkerHeartbeat {
            name: "w-1".into(),
            version: "0.1.0".into(),
            started_at: 0,
            seen_at,
            draining,
        };
        let state = |worker: WorkerHeartbeat| worker_state(&worker, 60_000, 120_000);
        assert_eq!(state(worker(100_000, false)), "running for 2 min 0 s");
        assert_eq!(state(worker(100_000, true)), "stopping: it finishes what it holds");
        assert!(state(worker(59_999, false)).starts_with("lost: silent for 1 min"));
    }
}
