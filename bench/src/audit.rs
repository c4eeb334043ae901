//! What must hold after every run, as seen from outside.

pub mod closed;
pub mod ends;
pub mod machines;
pub mod over;

use crate::{
    api::{Api, Request, Summary, WIDTH},
    report::Report,
};
use contract::{
    JobId,
    api::{Job, Task},
    state::{Counts, TaskState},
};
use ends::{Allowed, Witness};
use std::collections::BTreeMap;

/// Checks a finished upload of `products`: every item has come to an end,
/// the job's counters are those of its rows, each item ended as its channel
/// says, and the channels themselves saw one product for each that is told to
/// be there.
pub async fn finished(
    api: &Api,
    job: JobId,
    products: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    items(api, job, products, Allowed::default(), report).await?;
    ledger(api, &[job], report).await
}

/// The same without what the channels counted over all.
pub async fn items(
    api: &Api,
    job: JobId,
    products: usize,
    allowed: Allowed,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (found, tasks) = (api.job(job).await?, api.tasks(job).await?);
    let total = products * WIDTH;
    let open = tasks.iter().filter(|task| !task.state.is_end()).count();
    let things = things(&tasks);
    report.check(
        "accepted − terminal = ∅",
        open == 0 && tasks.len() == total && things == total,
        format!("{} of {total} items, {things} different, {open} open", tasks.len()),
    );
    counters(&found, &tasks, report);
    let witness = Witness::of(&api.ledger().await?);
    ended_rightly(api, &tasks, &witness, allowed, report).await?;
    told_is_there(api, &tasks, &witness, report).await
}

/// What the job says of its tasks is what they say.
fn counters(found: &Job, tasks: &[Task], report: &mut Report) {
    let counted = count(tasks);
    let verdict = counted.verdict(found.cancel_requested);
    let detail = if found.counts == counted {
        format!(
            "{}, {} succeeded, {} failed, {} need a person",
            found.state, counted.succeeded, counted.failed, counted.needs_person
        )
    } else {
        format!("the job says {:?}, its rows {counted:?}", found.counts)
    };
    report.check(
        "counters equal the rows",
        found.counts == counted && (counted.open > 0 || found.state == verdict),
        detail,
    );
}

fn things(tasks: &[Task]) -> usize {
    let things: std::collections::HashSet<_> =
        tasks.iter().map(|task| (&task.channel, &task.sku)).collect();
    things.len()
}

#[allow(clippy::cast_possible_truncation)]
fn count(tasks: &[Task]) -> Counts {
    let mut counts = Counts { total: tasks.len() as u32, ..Counts::default() };
    for task in tasks {
        match task.state {
            TaskState::Queued | TaskState::Running => counts.open += 1,
            TaskState::Succeeded => counts.succeeded += 1,
            TaskState::Failed => counts.failed += 1,
            TaskState::Cancelled => counts.cancelled += 1,
            TaskState::NeedsPerson => counts.needs_person += 1,
        }
    }
    counts
}

/// Failed is what its channel refused, and only what can't be told needs a
/// person.
async fn ended_rightly(
    api: &Api,
    tasks: &[Task],
    witness: &Witness,
    allowed: Allowed,
    report: &mut Report,
) -> anyhow::Result<()> {
    let objections = tasks.iter().filter_map(|task| Some((task, witness.objects(task, allowed)?)));
    let wrong: Vec<_> = objections.collect();
    let detail = match wrong.first() {
        None => "each item ended as its channel says".to_owned(),
        Some((task, why)) => {
            let tried = tries(api, task.id).await?;
            format!("{} items, such as {}: {why}: {tried}", wrong.len(), task.key)
        }
    };
    report.check("nothing failed without cause", wrong.is_empty(), detail);
    Ok(())
}

/// An item that is told as succeeded has exactly one product at its channel.
async fn told_is_there(
    api: &Api,
    tasks: &[Task],
    witness: &Witness,
    report: &mut Report,
) -> anyhow::Result<()> {
    let succeeded = tasks.iter().filter(|task| task.state == TaskState::Succeeded);
    let wrong: Vec<_> = succeeded.filter(|task| witness.made(task) != 1).collect();
    let detail = match wrong.first() {
        None => "each item that succeeded is one product".to_owned(),
        Some(first) => {
            let tried = tries(api, first.id).await?;
            format!("{} items are not, such as {}: {tried}", wrong.len(), first.key)
        }
    };
    report.check("told = there", wrong.is_empty(), detail);
    Ok(())
}

/// The attempts of a task in one line: when, for how long, by whom, how ended.
async fn tries(api: &Api, task: contract::TaskId) -> anyhow::Result<String> {
    let attempts = api.task(task).await?.attempts;
    let line = attempts.iter().map(|a| {
        let lasted = a.ended_at - a.started_at;
        format!("{} at {} for {lasted} ms by {}", a.outcome.code, a.started_at, a.worker)
    });
    Ok(line.collect::<Vec<_>>().join("; "))
}

/// What the services counted since they had seen so many requests: requests
/// over a limit, products made twice, and requests that did not wait as long
/// as a 429 had said to one of these jobs. Without a limit of `limits` what a
/// channel counted over its own is over.
pub async fn ledger_since(
    api: &Api,
    before: &BTreeMap<String, Summary>,
    jobs: &[JobId],
    limits: &BTreeMap<String, over::Limit>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let after = api.ledger_summary().await?;
    let added = |channel: &str, count: fn(&Summary) -> usize| {
        after.get(channel).map_or(0, count) - before.get(channel).map_or(0, count)
    };
    let suspects: fn(&Summary) -> usize = |s| s.while_closed + s.over;
    // Without one that is suspected nobody's attempts need be looked at.
    let (known, record) = if after.keys().all(|channel| added(channel, suspects) == 0) {
        (closed::Known::new(), BTreeMap::new())
    } else {
        (closed::known(api, jobs).await?, api.ledger().await?)
    };
    // Who was not asked has nothing to tell.
    for channel in after.keys().filter(|channel| added(channel, |s| s.requests) > 0) {
        let seen = before.get(channel).map_or(0, |s| s.requests);
        let requests = record.get(channel).map_or(&[][..], |record| &record.requests[seen..]);
        let known = known.get(channel).map_or(&[][..], Vec::as_slice);
        let late = closed::disobeyed(requests, known);
        let twice = added(channel, |s| s.duplicate_effects);
        let over = match limits.get(channel) {
            Some(limit) => limit.over(requests.iter().map(|request| request.at_ms)),
            None => added(channel, |s| s.over),
        };
        report.check(
            format!("ledger of {channel}"),
            over == 0 && twice == 0 && late.is_empty(),
            format!(
                "{} requests, {over} over the limit {:?}, {twice} made twice, {} after a closing \
                 was known {late:?}",
                added(channel, |s| s.requests),
                gaps(requests),
                late.len()
            ),
        );
    }
    Ok(())
}

/// Of each request over the limit: ms between those before it, and it.
fn gaps(requests: &[Request]) -> Vec<Vec<i64>> {
    let windows = requests.windows(6).filter(|window| window.last().is_some_and(|r| r.over));
    windows
        .map(|window| window.windows(2).map(|two| two[1].at_ms - two[0].at_ms).collect())
        .collect()
}

/// The same of all that the channels have seen.
pub async fn ledger(api: &Api, jobs: &[JobId], report: &mut Report) -> anyhow::Result<()> {
    ledger_since(api, &BTreeMap::new(), jobs, &BTreeMap::new(), report).await
}

/// The bar for [`rate_used`].
const USED: f64 = 0.95;

/// How much of what the gate may use was used, as the channels counted it.
pub async fn rate_used(api: &Api, report: &mut Report) -> anyhow::Result<()> {
    let channels = api.channels().await?;
    for (id, seen) in api.ledger_summary().await? {
        let channel = channels.iter().find(|channel| channel.id == id);
        let (Some(channel), Some(rate)) = (channel, seen.rate_used) else { continue };
        let used = rate / channel.pace;
        report.figure(
            format!("{id}: used of 0.97 × {:.1} a second", channel.rate),
            format!("{:.1} %", used * 100.0),
            Some(("≥ 95 %", used >= USED)),
        );
    }
    Ok(())
}
