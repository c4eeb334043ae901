//! One round: two launches, a cancel of one of them at a random moment, and in some rounds
//! the kill of a worker just before or after that.

use super::products::{cancelled_csv, load_prefix};
use crate::{
    audit::{self, outcomes::AllowedOutcomes},
    host::HostInfo,
    progress::{wait_until_finished, wait_until_finished_count},
    report::Report,
    worker_kills::{self, kill_busy_worker},
};
use contract::{JobId, TaskId, api::Task, state::TaskState};
use rand::{RngExt, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use testbed::{ApiClient, Cluster, api::product_csv_with_prefix};
use tokio::time::sleep;

/// Share of the items that have finished at the latest possible cancel.
const LAST_CANCEL_SHARE: f64 = 0.8;
/// Maximum time until the worker that is to be killed has an item of the upload. After a
/// cancel there may be none.
const BUSY_PATIENCE: Duration = Duration::from_secs(3);
/// Maximum time between a cancel and a kill, whichever comes first, ms.
const MAX_KILL_GAP_MS: u64 = 300;

pub struct CancelRound {
    pub number: u64,
    /// Products of each of the two uploads.
    pub products: usize,
    /// Latency of the slowest product call.
    pub latency: Duration,
    /// Whether a worker is killed.
    pub has_kill: bool,
}

/// The upload of a round after its end.
pub struct CancelledUpload {
    /// Number of the round.
    pub number: u64,
    pub job: JobId,
    /// Time of the launch, UTC ms.
    pub launched_at_ms: i64,
    /// Time of the cancel, UTC ms.
    pub cancelled_at_ms: i64,
    /// Whether the cancel came before the end.
    pub was_cancelled: bool,
    /// Number of tasks that a worker was running when it was killed; `None` without a kill.
    pub killed_task_count: Option<usize>,
    /// Description of the times of cancel and kill.
    pub moment: String,
    /// The items as they were when the job had ended.
    pub tasks: Vec<Task>,
    /// Texts of failed checks other than contradictions.
    pub failed_checks: Vec<String>,
}

/// When a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KillOrder {
    Never,
    BeforeCancel,
    AfterCancel,
}

impl CancelRound {
    pub async fn run(
        &self,
        cluster: &mut Cluster,
        api: &ApiClient,
        rng: &mut StdRng,
    ) -> anyhow::Result<CancelledUpload> {
        let share = rng.random::<f64>() * LAST_CANCEL_SHARE;
        let delay = self.latency.mul_f64(rng.random());
        let gap = Duration::from_millis(rng.random_range(0..MAX_KILL_GAP_MS));
        let order = match (self.has_kill, rng.random()) {
            (false, _) => KillOrder::Never,
            (true, true) => KillOrder::BeforeCancel,
            (true, false) => KillOrder::AfterCancel,
        };
        let prefix = load_prefix(self.number);
        let load = api.upload(product_csv_with_prefix(&prefix, self.products), &prefix).await?;
        let csv = cancelled_csv(self.number, self.products);
        let job = api.upload(csv, &format!("cancel-{}", self.number)).await?;
        let launched_at_ms = now_ms()?;
        // A moment between two ends of items, at any progress, however fast the host is.
        wait_until_finished_count(api, job.id, share_of(job.counts.total, share)).await?;
        sleep(delay).await;
        let victim = worker_kills::random_victim(cluster, rng);
        let mut left = None;
        if order == KillOrder::BeforeCancel {
            left = kill_busy_worker(cluster, victim, Some(job.id), BUSY_PATIENCE).await?;
            sleep(gap).await;
        }
        let cancelled_at_ms = now_ms()?;
        let was_cancelled = api.cancel_unless_ended(job.id).await?.is_some();
        if order == KillOrder::AfterCancel {
            sleep(gap).await;
            left = kill_busy_worker(cluster, victim, Some(job.id), BUSY_PATIENCE).await?;
        }
        if left.is_some() {
            sleep(worker_kills::random_outage(rng)).await;
            cluster.workers[victim].spawn().await?;
        }
        wait_until_finished(api, job.id).await?;
        let tasks = api.tasks(job.id).await?;

        let mut report = Report::new("", HostInfo::collect(Path::new("/")));
        audit::check_counters(&api.job(job.id).await?, &tasks, &mut report);
        wait_until_finished(api, load.id).await?;
        let allowed = AllowedOutcomes::default();
        audit::check_items(api, load.id, self.products, allowed, &mut report).await?;
        let failed_checks =
            report.failed_checks().map(|check| format!("round {}: {check}", self.number));
        let cancelled_after =
            Duration::from_millis((cancelled_at_ms - launched_at_ms).unsigned_abs());
        Ok(CancelledUpload {
            number: self.number,
            job: job.id,
            launched_at_ms,
            cancelled_at_ms,
            was_cancelled,
            killed_task_count: left.as_ref().map(Vec::len),
            moment: describe_moment(cancelled_after, was_cancelled, order, gap, left.as_deref()),
            tasks,
            failed_checks: failed_checks.collect(),
        })
    }
}

impl CancelledUpload {
    /// Returns the ids of the items that are told as cancelled.
    pub fn cancelled_items(&self) -> impl Iterator<Item = TaskId> {
        let cancelled = self.tasks.iter().filter(|task| task.state == TaskState::Cancelled);
        cancelled.map(|task| task.id)
    }

    /// Counts the items that the cancel found in flight, or with an unknown outcome, and
    /// that did not turn out to be undone.
    pub fn count_done_after_cancel(&self) -> usize {
        let others = self.tasks.iter().filter(|task| task.state != TaskState::Cancelled);
        others.filter(|task| task.updated_at > self.cancelled_at_ms).count()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn share_of(total: u32, share: f64) -> u32 {
    (f64::from(total) * share) as u32
}

fn describe_moment(
    cancelled_after: Duration,
    was_cancelled: bool,
    order: KillOrder,
    gap: Duration,
    left: Option<&[String]>,
) -> String {
    let end = if was_cancelled { "" } else { ", after its end" };
    let cancel = format!("cancel after {:.2} s{end}", cancelled_after.as_secs_f64());
    match (order, left) {
        (KillOrder::Never, _) => cancel,
        (_, None) => format!("{cancel}, no worker was running its items"),
        (KillOrder::BeforeCancel, Some(left)) => {
            format!("{cancel}, {gap:?} after the kill of a worker with {} tasks", left.len())
        }
        (KillOrder::AfterCancel, Some(left)) => {
            format!("{cancel}, kill of a worker with {} tasks {gap:?} later", left.len())
        }
    }
}

fn now_ms() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
