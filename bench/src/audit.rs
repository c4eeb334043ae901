//! Correctness checks after a run, from outside the server.

pub mod cooldown;
pub mod instances;
pub mod outcomes;

use crate::report::Report;
use contract::{
    JobId,
    api::{Job, Task},
    state::{Counts, TaskState},
};
use outcomes::{AllowedOutcomes, ChannelEvidence};
use std::collections::BTreeMap;
use testbed::{
    AllowedRate, ApiClient,
    api::{CHANNEL_COUNT, RecordedRequest, ServiceSummary},
};

/// Checks a finished upload of `products`: every item has finished, the job's
/// counters equal its rows, each item's outcome matches what its channel
/// answered, and the channels themselves have one product for each item that
/// succeeded.
pub async fn check_finished_upload(
    api: &ApiClient,
    job: JobId,
    products: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    check_items(api, job, products, AllowedOutcomes::default(), report).await?;
    check_ledger(api, &[job], report).await
}

/// Checks the items of a finished upload, without the ledger's counts over all jobs.
pub async fn check_items(
    api: &ApiClient,
    job: JobId,
    products: usize,
    allowed: AllowedOutcomes,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (found, tasks) = (api.job(job).await?, api.tasks(job).await?);
    let total = products * CHANNEL_COUNT;
    let open = tasks.iter().filter(|task| !task.state.is_terminal()).count();
    let items = count_distinct_items(&tasks);
    report.add_check(
        "every accepted item has finished",
        open == 0 && tasks.len() == total && items == total,
        format!("{} of {total} items, {items} different, {open} open", tasks.len()),
    );
    check_counters(&found, &tasks, report);
    let evidence = ChannelEvidence::from_ledger(&api.ledger().await?);
    check_outcomes(api, &tasks, &evidence, allowed, report).await?;
    check_products_exist(api, &tasks, &evidence, report).await
}

/// Checks that the job's counters and state equal those of its tasks.
pub fn check_counters(found: &Job, tasks: &[Task], report: &mut Report) {
    let counted = count_by_state(tasks);
    let verdict = counted.final_state(found.cancel_requested);
    let detail = if found.counts == counted {
        format!(
            "{}, {} succeeded, {} failed, {} rejected, {} need review",
            found.state, counted.succeeded, counted.failed, counted.rejected, counted.needs_review
        )
    } else {
        format!("the job says {:?}, its rows {counted:?}", found.counts)
    };
    report.add_check(
        "counters equal the rows",
        found.counts == counted && (counted.open > 0 || found.state == verdict),
        detail,
    );
}

fn count_distinct_items(tasks: &[Task]) -> usize {
    let items: std::collections::HashSet<_> =
        tasks.iter().map(|task| (&task.channel, &task.sku)).collect();
    items.len()
}

#[allow(clippy::cast_possible_truncation)]
fn count_by_state(tasks: &[Task]) -> Counts {
    let mut counts = Counts { total: tasks.len() as u32, ..Counts::default() };
    for task in tasks {
        match task.state {
            TaskState::Queued | TaskState::Running => counts.open += 1,
            TaskState::Succeeded => counts.succeeded += 1,
            TaskState::Failed => counts.failed += 1,
            TaskState::Rejected => counts.rejected += 1,
            TaskState::Cancelled => counts.cancelled += 1,
            TaskState::NeedsReview => counts.needs_review += 1,
        }
        if let Some(effect) = task.effect {
            counts.add_effect(effect, 1);
        }
    }
    counts
}

/// Checks that each failed item was rejected by its channel, and that only
/// items with an unknown outcome need review.
async fn check_outcomes(
    api: &ApiClient,
    tasks: &[Task],
    evidence: &ChannelEvidence,
    allowed: AllowedOutcomes,
    report: &mut Report,
) -> anyhow::Result<()> {
    let objections =
        tasks.iter().filter_map(|task| Some((task, evidence.objection(task, allowed)?)));
    let wrong: Vec<_> = objections.collect();
    let detail = match wrong.first() {
        None => "each item's outcome matches its channel's answers".to_owned(),
        Some((task, why)) => {
            let attempts = describe_attempts(api, task.id).await?;
            format!("{} items, such as {}: {why}: {attempts}", wrong.len(), task.key)
        }
    };
    report.add_check("every outcome is explained by its channel", wrong.is_empty(), detail);
    Ok(())
}

/// Checks that each item that succeeded has exactly one product at its channel.
async fn check_products_exist(
    api: &ApiClient,
    tasks: &[Task],
    evidence: &ChannelEvidence,
    report: &mut Report,
) -> anyhow::Result<()> {
    let succeeded = tasks.iter().filter(|task| task.state == TaskState::Succeeded);
    let wrong: Vec<_> = succeeded.filter(|task| evidence.products_created(task) != 1).collect();
    let detail = match wrong.first() {
        None => "each item that succeeded has one product".to_owned(),
        Some(first) => {
            let attempts = describe_attempts(api, first.id).await?;
            format!("{} items have not, such as {}: {attempts}", wrong.len(), first.key)
        }
    };
    report.add_check("every succeeded item has exactly one product", wrong.is_empty(), detail);
    Ok(())
}

/// Describes a task's attempts in one line: outcome, start, duration and worker.
async fn describe_attempts(api: &ApiClient, task: contract::TaskId) -> anyhow::Result<String> {
    let attempts = api.task(task).await?.attempts;
    let line = attempts.iter().map(|a| {
        let duration = a.ended_at - a.started_at;
        format!("{} at {} for {duration} ms by {}", a.outcome.code, a.started_at, a.worker)
    });
    Ok(line.collect::<Vec<_>>().join("; "))
}

/// Checks what the services counted since `before`: requests over a limit,
/// duplicate products, and requests sent before the wait that a 429 had
/// demanded of one of `jobs` was over. A channel without an entry in `limits`
/// is checked by its own count.
pub async fn check_ledger_since(
    api: &ApiClient,
    before: &BTreeMap<String, ServiceSummary>,
    jobs: &[JobId],
    limits: &BTreeMap<String, AllowedRate>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let after = api.ledger_summary().await?;
    let added = |channel: &str, count: fn(&ServiceSummary) -> usize| {
        after.get(channel).map_or(0, count) - before.get(channel).map_or(0, count)
    };
    let suspects: fn(&ServiceSummary) -> usize = |s| s.during_cooldown + s.over_limit;
    // The attempts are only needed if some request is suspect.
    let (known, record) = if after.keys().all(|channel| added(channel, suspects) == 0) {
        (cooldown::KnownCooldowns::new(), BTreeMap::new())
    } else {
        (cooldown::known_cooldowns(api, jobs).await?, api.ledger().await?)
    };
    // Channels without new requests have nothing to check.
    for channel in after.keys().filter(|channel| added(channel, |s| s.requests) > 0) {
        let seen = before.get(channel).map_or(0, |s| s.requests);
        let requests = record.get(channel).map_or(&[][..], |record| &record.requests[seen..]);
        let known = known.get(channel).map_or(&[][..], Vec::as_slice);
        let late = cooldown::violations(requests, known);
        let twice = added(channel, |s| s.duplicate_effects);
        let over = match limits.get(channel) {
            Some(limit) => limit.count_violations(requests.iter().map(|request| request.at_ms)),
            None => added(channel, |s| s.over_limit),
        };
        report.add_check(
            format!("ledger of {channel}"),
            over == 0 && twice == 0 && late.is_empty(),
            format!(
                "{} requests, {over} over the limit {:?}, {twice} duplicates, {} during a known \
                 cooldown {late:?}",
                added(channel, |s| s.requests),
                request_gaps(requests),
                late.len()
            ),
        );
    }
    Ok(())
}

/// Returns, for each request over the limit, the gaps up to it in ms: those between the
/// five requests before it, and the last one.
fn request_gaps(requests: &[RecordedRequest]) -> Vec<Vec<i64>> {
    let windows = requests.windows(6).filter(|window| window.last().is_some_and(|r| r.over_limit));
    windows
        .map(|window| window.windows(2).map(|two| two[1].at_ms - two[0].at_ms).collect())
        .collect()
}

/// Checks everything that the services have counted; see [`check_ledger_since`].
pub async fn check_ledger(
    api: &ApiClient,
    jobs: &[JobId],
    report: &mut Report,
) -> anyhow::Result<()> {
    check_ledger_since(api, &BTreeMap::new(), jobs, &BTreeMap::new(), report).await
}

/// Minimum share of the allowed rate that has to be used; see [`report_rate_used`].
const MIN_RATE_USED: f64 = 0.95;

/// Reports the used share of the rate that the limiter may use, as the channels counted it.
pub async fn report_rate_used(api: &ApiClient, report: &mut Report) -> anyhow::Result<()> {
    let channels = api.channels().await?;
    for (id, seen) in api.ledger_summary().await? {
        let channel = channels.iter().find(|channel| channel.id == id);
        let (Some(channel), Some(rate)) = (channel, seen.observed_rate) else { continue };
        let used = rate / channel.current_rate;
        report.add_figure(
            format!("{id}: used of 0.97 × {:.1} a second", channel.rate),
            format!("{:.1} %", used * 100.0),
            Some(("≥ 95 %", used >= MIN_RATE_USED)),
        );
    }
    Ok(())
}
