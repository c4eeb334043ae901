//! What is counted here. Facts are counted where they are announced: once, by
//! the process whose commit they tell of.

use crate::{
    broker::News,
    gate::{self, Refused},
};
use contract::{
    api::Task,
    fact::{Fact, FactKind},
};
use metrics::{counter, histogram};
use std::time::Duration;

/// Tasks that one statement cancelled may be of several commands.
const SEVERAL: &str = "several";

pub(crate) fn announced(news: &News) {
    if let News::Facts(news) = news {
        news.facts.iter().for_each(count);
    }
}

fn count(fact: &Fact) {
    let data = &fact.data;
    match (fact.kind, &data.job, &data.task) {
        (FactKind::JobAccepted, Some(job), _) => {
            let kind = job.kind.as_str();
            counter!("meanwhile_jobs_accepted_total", "kind" => kind).increment(1);
            let total = job.counts.total.into();
            counter!("meanwhile_tasks_accepted_total", "kind" => kind).increment(total);
        }
        (FactKind::JobFinished, Some(job), _) => {
            let (kind, end) = (job.kind.as_str(), job.state.as_str());
            counter!("meanwhile_jobs_ended_total", "kind" => kind, "end" => end).increment(1);
        }
        (FactKind::JobCancelling, _, _) => {
            let count = data.count.unwrap_or_default().into();
            ended(SEVERAL.into(), "cancelled", count);
        }
        (FactKind::TaskCreated, _, Some(task)) => {
            let command = task.kind.clone();
            counter!("meanwhile_tasks_caused_total", "command" => command).increment(1);
        }
        (FactKind::TaskRequeued, _, Some(task)) => requeued(task),
        (
            FactKind::TaskSucceeded
            | FactKind::TaskFailed
            | FactKind::TaskCancelled
            | FactKind::TaskNeedsPerson,
            _,
            Some(task),
        ) => ended(task.kind.clone(), task.state.as_str(), 1),
        _ => {}
    }
}

fn ended(command: String, end: &'static str, count: u64) {
    counter!("meanwhile_tasks_ended_total", "command" => command, "end" => end).increment(count);
}

fn requeued(task: &Task) {
    let waits_for = task.waiting_for.as_ref().map_or("nothing", |why| why.reason.as_str());
    let command = task.kind.clone();
    counter!("meanwhile_tasks_requeued_total", "command" => command, "waits_for" => waits_for)
        .increment(1);
}

/// Of whoever wanted to enter the gate of `account`.
pub(crate) fn entered(account: &str, waited: Duration, refused: Option<&Refused>) {
    let account = account.to_owned();
    let why = match refused {
        None => {
            histogram!("meanwhile_gate_wait_seconds", "account" => account).record(waited);
            return;
        }
        Some(Refused::Later { closed: true, .. }) => "closed",
        Some(Refused::Later { closed: false, .. }) => "pace",
        Some(Refused::Unreachable(gate::Error::Unusable(_))) => "unusable",
        Some(Refused::Unreachable(gate::Error::Unreachable(_))) => "unreachable",
    };
    counter!("meanwhile_gate_refusals_total", "account" => account, "why" => why).increment(1);
}

/// The service has closed `account`.
pub(crate) fn closed(account: &str) {
    counter!("meanwhile_gate_closings_total", "account" => account.to_owned()).increment(1);
}
