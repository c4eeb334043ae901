//! History of a task as HTML: where its time went, as a waterfall with words, and its attempts.

use crate::labels;
use contract::{
    api::{Attempt, Task, WaitReason},
    fact::Fact,
};
use leptos::prelude::*;

/// Number of a task's facts that are read. One that was retried more often has its first steps.
pub const FACTS_LIMIT: i64 = 500;
/// Number of steps in the waterfall; the last ones are shown.
const STEPS_LIMIT: usize = 30;

/// A part of a task's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub words: String,
    /// UTC ms; steps follow each other without gaps.
    pub from: i64,
    pub to: i64,
    /// Value of `data-step`, which gives the colour.
    pub kind: &'static str,
}

/// Renders the history. `created_at` is when the task was created, UTC ms.
pub fn history(
    task: &Task,
    attempts: &[Attempt],
    facts: &[Fact],
    created_at: i64,
    now: i64,
) -> AnyView {
    let steps = steps(task, attempts, facts, created_at, now);
    let none = attempts.is_empty();
    let tries = attempts.iter().map(attempt_item).collect_view();
    view! {
        {waterfall(&steps)}
        <h3>"Attempts"</h3>
        {none.then(|| view! { <p>"None has ended yet."</p> })}
        <ol class="attempts">{tries}</ol>
    }
    .into_any()
}

/// Says that an admin has edited what the task sends.
pub fn edited(at: Option<i64>, now: i64) -> Option<AnyView> {
    let when = labels::time_ago(at?, now);
    let sentence = format!("An admin edited what this item sends {when}, after it had failed.");
    Some(view! { <p data-testid="edited">{sentence}</p> }.into_any())
}

/// Cuts the time of a task into waits and calls. What it waited for after an attempt is in the
/// fact of that time.
pub fn steps(
    task: &Task,
    attempts: &[Attempt],
    facts: &[Fact],
    created_at: i64,
    now: i64,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut reached = created_at;
    let wait_until = |steps: &mut Vec<Step>, from: i64, to: i64| {
        for (words, kind, from, to) in waits(facts, from, to) {
            steps.push(Step { words, from, to, kind });
        }
    };
    for attempt in attempts {
        wait_until(&mut steps, reached, attempt.started_at);
        let words = format!("Attempt {}", attempt.number);
        let ended = attempt.ended_at.max(attempt.started_at);
        steps.push(Step { words, from: attempt.started_at, to: ended, kind: "attempt" });
        reached = ended;
    }
    if !task.state.is_terminal() {
        match task.state {
            contract::state::TaskState::Running => {
                let words = format!("Attempt {}, running", task.attempt);
                wait_until(&mut steps, reached, task.updated_at.max(reached));
                let from = task.updated_at.max(reached);
                steps.push(Step { words, from, to: now.max(from), kind: "attempt" });
            }
            _ => wait_until(&mut steps, reached, now.max(reached)),
        }
    }
    steps.retain(|step| step.to > step.from || step.kind == "attempt");
    steps.split_off(steps.len().saturating_sub(STEPS_LIMIT))
}

/// Returns the waits from `from` to `to`, split where a fact gives a new reason.
fn waits(facts: &[Fact], from: i64, to: i64) -> Vec<(String, &'static str, i64, i64)> {
    let mut waits = Vec::new();
    let before = facts.iter().rev().find(|fact| fact.at <= from);
    let (mut words, mut kind) = before.map_or_else(|| wait(None), wait_of);
    let mut start = from;
    for fact in facts.iter().filter(|fact| fact.at > from && fact.at < to) {
        waits.push((words, kind, start, fact.at));
        (words, kind) = wait_of(fact);
        start = fact.at;
    }
    waits.push((words, kind, start, to));
    waits
}

fn wait_of(fact: &Fact) -> (String, &'static str) {
    let task = fact.data.task.as_ref();
    match task {
        // What a person does again waits in the queue.
        Some(task) if task.state.is_terminal() => ("Ended, then queued again".into(), "ended"),
        task => wait(task.and_then(|task| task.waiting_for.as_ref()).map(|it| it.reason)),
    }
}

fn wait(reason: Option<WaitReason>) -> (String, &'static str) {
    let (words, kind) = match reason {
        None => ("Waiting in the queue", "queue"),
        Some(WaitReason::Retry) => ("Pause before the next attempt", "backoff"),
        Some(WaitReason::RateLimit) => ("Waiting its turn at the service", "queue"),
        Some(WaitReason::Cooldown) => ("Paused by the service", "cooldown"),
        Some(WaitReason::Paused) => ("Paused by an admin", "cooldown"),
        Some(WaitReason::LimiterUnavailable) => ("Waiting for the rate limiter", "cooldown"),
        Some(WaitReason::Machine) => ("The machine changes its state", "queue"),
        Some(WaitReason::KeyInUse) => ("Waiting for another item about the same thing", "queue"),
        Some(WaitReason::Checking) => ("No answer; before it is checked", "backoff"),
    };
    (words.into(), kind)
}

fn waterfall(steps: &[Step]) -> AnyView {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return ().into_any();
    };
    let (start, total) = (first.from, last.to - first.from);
    let lines = steps
        .iter()
        .map(|step| {
            view! {
                <li data-testid="step">
                    <span>{step.words.clone()}</span>
                    <span class="number">{labels::duration(step.to - step.from)}</span>
                    {bar(std::slice::from_ref(step), start, last.to)}
                </li>
            }
        })
        .collect_view();
    view! {
        <h3>"Where the time went"</h3>
        <p class="meta">{format!("{} in all, from {}", labels::duration(total), labels::timestamp(start))}</p>
        <ol class="waterfall">{lines}</ol>
    }
    .into_any()
}

/// Renders steps on the time from `start` to `end`, UTC ms.
pub fn bar(steps: &[Step], start: i64, end: i64) -> AnyView {
    let total = (end - start).max(1);
    // Thousandths of the width.
    let scale = |ms: i64| ms * 1_000 / total;
    let parts = steps
        .iter()
        .map(|step| {
            // A step of no time is a line.
            let width = scale(step.to - step.from).max(6);
            let x = scale(step.from - start).min(1_000 - width);
            view! {
                <rect
                    data-step=step.kind
                    x=x.to_string()
                    y="0"
                    width=width.to_string()
                    height="8"
                ></rect>
            }
        })
        .collect_view();
    view! {
        <svg viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">
            {parts}
        </svg>
    }
    .into_any()
}

fn attempt_item(attempt: &Attempt) -> impl IntoView + use<> {
    let took = labels::duration(attempt.ended_at - attempt.started_at);
    let when = labels::timestamp(attempt.started_at);
    view! {
        <li data-testid="attempt">
            <strong>{format!("Attempt {}", attempt.number)}</strong>
            " "
            {attempt.outcome.message.clone()}
            " "
            <code>{attempt.outcome.code.clone()}</code>
            <small>{format!("{when}, took {took}")}</small>
        </li>
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::{
        api::{Outcome, WaitingFor},
        fact::{FactData, FactKind},
        state::TaskState,
    };

    fn task(state: TaskState, waiting: Option<WaitReason>) -> Task {
        let id = "01a227d1-cde9-7560-8cab-06c048fbf04e";
        let mut task: Task = serde_json::from_value(serde_json::json!({
            "id": id, "job": id, "kind": "product.upload", "key": "acme/A", "row": 1,
            "title": "Lamp", "sku": "A", "state": state, "attempt": 2, "updated_at": 0,
        }))
        .unwrap();
        task.waiting_for = waiting.map(|reason| WaitingFor { reason, until: None, detail: None });
        task
    }

    fn fact(at: i64, kind: FactKind, task: Task) -> Fact {
        let data = FactData { task: Some(task), ..FactData::default() };
        Fact {
            seq: at,
            id: Default::default(),
            kind,
            job: None,
            task: None,
            at,
            traceparent: None,
            data,
        }
    }

    fn attempt(number: u32, started_at: i64, ended_at: i64) -> Attempt {
        let outcome = Outcome::new("http_429", "It asked to wait.");
        Attempt { number, started_at, ended_at, worker: "w".into(), outcome }
    }

    fn summary(steps: &[Step]) -> Vec<(&str, i64, i64)> {
        steps.iter().map(|step| (step.words.as_str(), step.from, step.to)).collect()
    }

    #[test]
    fn waits_and_attempts_follow_each_other_without_gaps() {
        let queued = |reason| task(TaskState::Queued, Some(reason));
        let facts = [
            fact(900, FactKind::TaskRequeued, queued(WaitReason::RateLimit)),
            fact(1_500, FactKind::TaskRequeued, queued(WaitReason::Cooldown)),
            fact(9_000, FactKind::TaskSucceeded, task(TaskState::Succeeded, None)),
        ];
        let attempts = [attempt(1, 1_000, 1_500), attempt(2, 8_000, 9_000)];
        let steps = steps(&task(TaskState::Succeeded, None), &attempts, &facts, 0, 20_000);
        assert_eq!(
            summary(&steps),
            [
                ("Waiting in the queue", 0, 900),
                ("Waiting its turn at the service", 900, 1_000),
                ("Attempt 1", 1_000, 1_500),
                ("Paused by the service", 1_500, 8_000),
                ("Attempt 2", 8_000, 9_000),
            ]
        );
    }

    #[test]
    fn what_waits_or_runs_now_goes_on_until_now() {
        let waiting = task(TaskState::Queued, Some(WaitReason::Retry));
        let facts = [fact(1_500, FactKind::TaskRequeued, waiting.clone())];
        let attempts = [attempt(1, 1_000, 1_500)];
        let waits = steps(&waiting, &attempts, &facts, 1_000, 4_000);
        assert_eq!(
            summary(&waits),
            [("Attempt 1", 1_000, 1_500), ("Pause before the next attempt", 1_500, 4_000)]
        );
        let mut running = task(TaskState::Running, None);
        running.updated_at = 3_000;
        let runs = steps(&running, &attempts, &facts, 1_000, 4_000);
        assert_eq!(summary(&runs)[2], ("Attempt 2, running", 3_000, 4_000));
    }
}
