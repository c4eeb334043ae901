//! What is asked of single items and their attempts.

use super::fault::Fault;
use crate::{
    api::{Api, WIDTH},
    report::Report,
};
use contract::{
    JobId,
    api::{Attempt, Task},
    state::{JobState, TaskState},
};
use std::collections::{BTreeMap, BTreeSet};

/// Each task of some jobs, with its attempts.
pub type Tried = Vec<(Task, Vec<Attempt>)>;

pub async fn tried(api: &Api, jobs: &[JobId]) -> anyhow::Result<Tried> {
    let mut tried = Tried::new();
    for &job in jobs {
        for task in api.tasks(job).await? {
            let attempts = api.task(task.id).await?.attempts;
            tried.push((task, attempts));
        }
    }
    Ok(tried)
}

/// What the round's fault asks besides. `first` is the batch that the fault
/// has rows in.
pub async fn kept(
    fault: Fault,
    api: &Api,
    first: JobId,
    tried: &Tried,
    report: &mut Report,
) -> anyhow::Result<()> {
    match fault {
        Fault::AlwaysFails => {
            failures(tried, report);
            api.retry(first).await?;
            let again = api.job(first).await?.state;
            report.check(
                "and can be retried",
                again == JobState::Running,
                format!("it is {again}"),
            );
            api.cancel(first).await?;
        }
        // Nothing but the channels goes wrong.
        Fault::None | Fault::Storm | Fault::ClockOff => calm(tried, report),
        Fault::RollingRestart => uncut(api, tried, report).await?,
        _ => {}
    }
    Ok(())
}

/// Those that always fail were tried again and again, and nobody else suffers.
fn failures(tried: &Tried, report: &mut Report) {
    let (failed, others): (Vec<_>, Vec<_>) =
        tried.iter().partition(|(task, _)| task.sku.contains("500ALWAYS"));
    let all = |(task, attempts): &&(Task, Vec<Attempt>)| {
        let numbers: BTreeSet<_> = attempts.iter().map(|attempt| attempt.number).collect();
        let each = numbers.into_iter().eq(1..=task.attempt);
        task.state == TaskState::Failed && task.attempt > 1 && each
    };
    report.check(
        "failures are kept with their attempts",
        failed.iter().all(all) && failed.len() == WIDTH,
        format!("{} of them", failed.len()),
    );
    // By its channel, or by EC2.
    let refused = |task: &Task| {
        let code = task.outcome.as_ref().map(|outcome| outcome.code.as_str());
        matches!(code, Some("rejected" | "UnauthorizedOperation"))
    };
    let suffers = others.iter().map(|(task, _)| task);
    let suffers: Vec<_> =
        suffers.filter(|task| task.state != TaskState::Succeeded && !refused(task)).collect();
    report.check(
        "their neighbours succeed",
        suffers.is_empty() && others.len() > WIDTH,
        format!("{} of {} did not: {:?}", suffers.len(), others.len(), suffers.first()),
    );
}

/// What a channel answers costs what it should, and no call is cut off.
fn calm(tried: &Tried, report: &mut Report) {
    let (mut refused, mut spent, mut cut) = (0, Vec::new(), Vec::new());
    for (task, attempts) in tried {
        let codes = codes(attempts);
        for (place, pair) in attempts.windows(2).enumerate() {
            if codes[place] == "http_429" {
                refused += 1;
                if pair[1].number != pair[0].number {
                    spent.push(format!("{}: {codes:?}", task.key));
                }
            }
        }
        if codes.contains(&"timeout") {
            cut.push(format!("{}: {codes:?}", task.key));
        }
    }
    report.check(
        "a 429 spends no attempt",
        spent.is_empty(),
        format!("{} of {refused} did, such as {:?}", spent.len(), spent.first()),
    );
    report.check(
        "no call is cut off",
        cut.is_empty(),
        format!("{} items had one, such as {:?}", cut.len(), cut.first()),
    );
}

/// No call of a worker that drains ended without its answer, but for those
/// whose connection the channel itself dropped.
async fn uncut(api: &Api, tried: &Tried, report: &mut Report) -> anyhow::Result<()> {
    let mut dropped: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (channel, record) in api.ledger().await? {
        for request in record.requests.into_iter().filter(|request| request.dropped) {
            *dropped.entry((channel.clone(), request.sku.unwrap_or_default())).or_default() += 1;
        }
    }
    let cut = |(task, attempts): &&(Task, Vec<Attempt>)| {
        let codes = codes(attempts);
        let thing = (task.channel.clone().unwrap_or_default(), task.sku.clone());
        let own = dropped.get(&thing).copied().unwrap_or_default();
        codes.iter().any(|code| matches!(*code, "worker_lost" | "timeout"))
            || codes.iter().filter(|code| **code == "dropped").count() > own
    };
    let cut: Vec<_> = tried.iter().filter(cut).collect();
    let first = cut.first().map(|(task, attempts)| format!("{}: {:?}", task.key, codes(attempts)));
    report.check(
        "no call is cut",
        cut.is_empty(),
        format!("{} were, such as {first:?}", cut.len()),
    );
    Ok(())
}

/// Each of these workers, by the ends of their names, tried something.
pub fn took_part(workers: &[String], tried: &Tried, report: &mut Report) {
    for worker in workers {
        let attempts = tried.iter().flat_map(|(_, attempts)| attempts);
        let count = attempts.filter(|attempt| attempt.worker.ends_with(worker)).count();
        report.check("the worker took part", count > 0, format!("{count} attempts by {worker}"));
        report.figure("attempts by that worker", count.to_string(), None);
    }
}

fn codes(attempts: &[Attempt]) -> Vec<&str> {
    attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect()
}
