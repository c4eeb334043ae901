//! Where the time of a job went, as HTML: its slowest items beside each other, and what they waited
//! for in words.

use super::history::{self, Step};
use crate::{
    labels,
    server::{RequestContext, server_error},
};
use contract::{JobId, fact::Fact};
use engine::store::TimedTask;
use leptos::prelude::*;
use std::collections::HashMap;

/// Number of items in the waterfall.
const ITEMS_LIMIT: u32 = 12;

/// Renders the waterfall of a job; empty if the user has no such job.
///
/// # Errors
/// Fails if the database does.
pub async fn waterfall(request: &RequestContext, id: JobId) -> Result<AnyView, ServerFnError> {
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let now = store.database.now_ms();
    let slowest = store.jobs.slowest_tasks(identity.user, id, ITEMS_LIMIT).await;
    let slowest = slowest.map_err(server_error)?;
    let ids: Vec<_> = slowest.iter().map(|timed| timed.task.id).collect();
    let facts =
        store.journal.facts_of_tasks(identity.user, id, &ids).await.map_err(server_error)?;
    Ok(view_of(id, &slowest, facts, now))
}

fn view_of(job: JobId, slowest: &[TimedTask], facts: Vec<Fact>, now: i64) -> AnyView {
    let mut by_task: HashMap<_, Vec<Fact>> = HashMap::new();
    for fact in facts {
        if let Some(task) = fact.task {
            by_task.entry(task).or_default().push(fact);
        }
    }
    let items: Vec<_> = slowest
        .iter()
        .map(|timed| {
            let facts = by_task.get(&timed.task.id).map_or(&[][..], Vec::as_slice);
            let TimedTask { task, created_at, attempts } = timed;
            (timed, history::steps(task, attempts, facts, *created_at, now))
        })
        .filter(|(_, steps)| !steps.is_empty())
        .collect();
    let start = items.iter().filter_map(|(_, steps)| Some(steps.first()?.from)).min();
    let end = items.iter().filter_map(|(_, steps)| Some(steps.last()?.to)).max();
    let (Some(start), Some(end)) = (start, end) else { return ().into_any() };
    let lines = items
        .iter()
        .map(|(timed, steps)| {
            let took = steps.last().map_or(0, |step| step.to) - steps.first().map_or(0, |s| s.from);
            view! {
                <li data-testid="slow-item">
                    <a href=format!("/jobs/{job}?task={}", timed.task.id)>
                        {labels::task_subject(&timed.task)}
                    </a>
                    <span class="number">{labels::duration(took)}</span>
                    <span class="job-phases">{words(steps)}</span>
                    {history::bar(steps, start, end)}
                </li>
            }
        })
        .collect_view();
    let all: Vec<_> = items.iter().flat_map(|(_, steps)| steps).cloned().collect();
    let about = format!(
        "{} from the launch to the last of them. Together: {}",
        labels::duration(end - start),
        words(&all),
    );
    let title = match items.len() {
        1 => "The slowest item".to_owned(),
        count => format!("The {count} slowest items"),
    };
    view! {
        <details class="job-waterfall" data-testid="job-waterfall">
            <summary>"Where the time went"</summary>
            <h3>{title}</h3>
            <p class="meta">{about}</p>
            <ol class="waterfall">{lines}</ol>
        </details>
    }
    .into_any()
}

/// Says how long each phase took, the longest first.
fn words(steps: &[Step]) -> String {
    let mut phases: Vec<(&str, i64)> = Vec::new();
    for step in steps {
        let name = if step.kind == "attempt" { "Calls" } else { step.words.as_str() };
        match phases.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += step.to - step.from,
            None => phases.push((name, step.to - step.from)),
        }
    }
    phases.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let phases: Vec<_> = phases
        .iter()
        .map(|(name, took)| format!("{} {}", name.to_lowercase(), labels::duration(*took)))
        .collect();
    labels::sentence_case(&format!("{}.", phases.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_added_up_and_the_longest_comes_first() {
        let step = |words: &str, from, to, kind| Step { words: words.into(), from, to, kind };
        let steps = [
            step("Waiting in the queue", 0, 5_000, "queue"),
            step("Attempt 1", 5_000, 6_000, "attempt"),
            step("Paused by the service", 6_000, 66_000, "cooldown"),
            step("Attempt 2", 66_000, 68_000, "attempt"),
        ];
        let expected = "Paused by the service 1 min 0 s, waiting in the queue 5.0 s, calls 3.0 s.";
        assert_eq!(words(&steps), expected);
    }
}
