//! Checks of single items and their attempts.

use super::fault::Fault;
use crate::report::Report;
use contract::{
    JobId,
    api::{Attempt, Task},
    state::{JobState, TaskState},
};
use std::collections::{BTreeMap, BTreeSet};
use testbed::{ApiClient, api::CHANNEL_COUNT};

/// Tasks of some jobs, each with its attempts.
pub type TasksWithAttempts = Vec<(Task, Vec<Attempt>)>;

pub async fn tasks_with_attempts(
    api: &ApiClient,
    jobs: &[JobId],
) -> anyhow::Result<TasksWithAttempts> {
    let mut tasks = TasksWithAttempts::new();
    for &job in jobs {
        for task in api.tasks(job).await? {
            let attempts = api.task(task.id).await?.attempts;
            tasks.push((task, attempts));
        }
    }
    Ok(tasks)
}

/// Checks what the round's fault requires in addition. `first` is the batch that
/// has the fault's rows.
pub async fn check_fault(
    fault: Fault,
    api: &ApiClient,
    first: JobId,
    tasks: &TasksWithAttempts,
    report: &mut Report,
) -> anyhow::Result<()> {
    match fault {
        Fault::PermanentFailure => {
            check_permanent_failures(tasks, report);
            api.retry_failed_tasks(first).await?;
            let again = api.job(first).await?.state;
            report.add_check(
                "failed tasks can be retried",
                again == JobState::Running,
                format!("the job is {again}"),
            );
            api.cancel(first).await?;
        }
        // Only the channels fail.
        Fault::None | Fault::RateLimitStorm | Fault::ClockSkew => {
            check_channel_answers(tasks, report)
        }
        Fault::RollingRestart => check_no_call_was_cut(api, tasks, report).await?,
        _ => {}
    }
    Ok(())
}

/// Checks that items that always fail were tried repeatedly, and that no others failed.
fn check_permanent_failures(tasks: &TasksWithAttempts, report: &mut Report) {
    let (failed, others): (Vec<_>, Vec<_>) =
        tasks.iter().partition(|(task, _)| task.sku.contains("500ALWAYS"));
    let all = |(task, attempts): &&(Task, Vec<Attempt>)| {
        let numbers: BTreeSet<_> = attempts.iter().map(|attempt| attempt.number).collect();
        let each = numbers.into_iter().eq(1..=task.attempt);
        task.state == TaskState::Failed && task.attempt > 1 && each
    };
    report.add_check(
        "failures are recorded with their attempts",
        failed.iter().all(all) && failed.len() == CHANNEL_COUNT,
        format!("{} of them", failed.len()),
    );
    // Rejected by its channel, or by EC2.
    let refused = |task: &Task| {
        let code = task.outcome.as_ref().map(|outcome| outcome.code.as_str());
        matches!(code, Some("rejected" | "UnauthorizedOperation"))
    };
    let affected = others.iter().map(|(task, _)| task);
    let affected: Vec<_> =
        affected.filter(|task| task.state != TaskState::Succeeded && !refused(task)).collect();
    report.add_check(
        "the other items succeed",
        affected.is_empty() && others.len() > CHANNEL_COUNT,
        format!("{} of {} did not: {:?}", affected.len(), others.len(), affected.first()),
    );
}

/// Checks that a 429 costs no attempt, and that no call is cut off.
fn check_channel_answers(tasks: &TasksWithAttempts, report: &mut Report) {
    let (mut refused, mut spent, mut cut) = (0, Vec::new(), Vec::new());
    for (task, attempts) in tasks {
        let codes = outcome_codes(attempts);
        for (index, pair) in attempts.windows(2).enumerate() {
            if codes[index] == "http_429" {
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
    report.add_check(
        "a 429 spends no attempt",
        spent.is_empty(),
        format!("{} of {refused} did, such as {:?}", spent.len(), spent.first()),
    );
    report.add_check(
        "no call is cut off",
        cut.is_empty(),
        format!("{} items had one, such as {:?}", cut.len(), cut.first()),
    );
}

/// Checks that no call of a draining worker ended without its response, except
/// those whose connection the channel itself dropped.
async fn check_no_call_was_cut(
    api: &ApiClient,
    tasks: &TasksWithAttempts,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut dropped: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (channel, record) in api.ledger().await? {
        for request in record.requests.into_iter().filter(|request| request.connection_dropped) {
            *dropped.entry((channel.clone(), request.sku.unwrap_or_default())).or_default() += 1;
        }
    }
    let cut = |(task, attempts): &&(Task, Vec<Attempt>)| {
        let codes = outcome_codes(attempts);
        let item = (task.channel.clone().unwrap_or_default(), task.sku.clone());
        let own = dropped.get(&item).copied().unwrap_or_default();
        codes.iter().any(|code| matches!(*code, "worker_lost" | "timeout"))
            || codes.iter().filter(|code| **code == "connection_dropped").count() > own
    };
    let cut: Vec<_> = tasks.iter().filter(cut).collect();
    let first =
        cut.first().map(|(task, attempts)| format!("{}: {:?}", task.key, outcome_codes(attempts)));
    report.add_check(
        "no call is cut off",
        cut.is_empty(),
        format!("{} were, such as {first:?}", cut.len()),
    );
    Ok(())
}

/// Checks that each of these workers, given by the ends of their names, made an attempt.
pub fn check_workers_took_part(workers: &[String], tasks: &TasksWithAttempts, report: &mut Report) {
    for worker in workers {
        let attempts = tasks.iter().flat_map(|(_, attempts)| attempts);
        let count = attempts.filter(|attempt| attempt.worker.ends_with(worker)).count();
        report.add_check(
            "the worker made attempts",
            count > 0,
            format!("{count} attempts by {worker}"),
        );
        report.add_figure("attempts by that worker", count.to_string(), None);
    }
}

fn outcome_codes(attempts: &[Attempt]) -> Vec<&str> {
    attempts.iter().map(|attempt| attempt.outcome.code.as_str()).collect()
}
