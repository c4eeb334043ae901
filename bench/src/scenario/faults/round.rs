//! One round: launch, fault, recovery and checks.

use super::{
    context::{AcceptedJob, FaultContext},
    fault::Fault,
    fault_checks::{self, check_fault},
    inject,
    instances::{self, InstanceStarts},
    launch,
    listener::{self, ListenerResult, MIN_CUTS, follow_job},
};
use crate::{audit, host::HostInfo, report::Report};
use anyhow::{Context, ensure};
use contract::{JobId, state::JobState};
use rand::{RngExt, rngs::StdRng};
use sandbox::RateLimit;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use testbed::{
    AllowedRate, ApiClient, Cluster, WebSocketClient,
    api::{
        CHANNEL_COUNT,
        aws::{CLOUDWATCH, EC2},
        product_csv_with_prefix,
    },
};
use tokio::time::{sleep, timeout};

/// A round without progress for this long has lost something.
const STUCK_TIMEOUT: Duration = Duration::from_secs(180);
/// Longest backoff between two attempts at speed 1, during which there may be no
/// other work.
const MAX_BACKOFF: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
pub struct RoundConfig {
    pub products: usize,
    pub lease: Duration,
    pub speed: f64,
    /// Maximum delay of a request on its way to a channel.
    pub max_request_delay: Duration,
}

impl RoundConfig {
    /// Returns the limits by service; empty if the services' own counts decide.
    fn rate_limits(&self) -> BTreeMap<String, AllowedRate> {
        let channels = sandbox::SAMPLE_CHANNELS.iter().map(|spec| (spec.id, spec.request_limit()));
        let account = [(EC2, sandbox::EC2_RATE), (CLOUDWATCH, sandbox::CLOUDWATCH_RATE)];
        let all = channels.chain(account).filter(|_| !self.max_request_delay.is_zero());
        all.map(|(id, RateLimit { per_second, burst })| {
            let rate = per_second * self.speed;
            let limit = AllowedRate { rate, burst, max_delay: self.max_request_delay };
            (id.to_owned(), limit)
        })
        .collect()
    }

    fn stuck_timeout(&self) -> Duration {
        STUCK_TIMEOUT + MAX_BACKOFF.div_f64(self.speed)
    }
}

pub struct FaultRound {
    pub fault: Fault,
    /// Prefix of the SKUs.
    pub name: String,
    pub config: RoundConfig,
}

/// Result of a round.
pub struct FaultRoundResult {
    pub items: usize,
    pub needs_review: u32,
    /// Time from the end of the fault to the end of all jobs.
    pub recovery_time: Duration,
    /// Texts of the figures.
    pub figures: Vec<String>,
    /// Texts of the failed checks.
    pub failed_checks: Vec<String>,
}

impl FaultRoundResult {
    /// Returns the result of a round that was aborted.
    pub fn aborted(why: String) -> Self {
        let (recovery_time, figures, failed_checks) = (Duration::ZERO, Vec::new(), vec![why]);
        Self { items: 0, needs_review: 0, recovery_time, figures, failed_checks }
    }
}

impl FaultRound {
    pub async fn run(
        &self,
        cluster: &mut Cluster,
        rng: &mut StdRng,
    ) -> anyhow::Result<FaultRoundResult> {
        let apis = cluster.signed_in_clients().await?;
        let stopped = instances::stop_all(&apis[0]).await?;
        let (before, known) = (apis[0].ledger_summary().await?, listed_job_ids(&apis[0]).await?);
        let (_, position) = WebSocketClient::open_at_head(&apis[0]).await?;
        let names = ["A", "B"].map(|batch| format!("{}{batch}", self.name));
        let mut files =
            names.clone().map(|name| product_csv_with_prefix(&name, self.config.products));
        let more = self.fault.extra_rows(&names[0]);
        let counts = [self.config.products + more.lines().count(), self.config.products];
        files[0].push_str(&more);
        let [first, second] = files;
        let report = Report::new("", HostInfo::collect(cluster.folder()));
        let mut context = FaultContext {
            cluster,
            apis: &apis,
            name: &self.name,
            lease: self.config.lease,
            rng,
            required_workers: Vec::new(),
            accepted_jobs: Vec::new(),
            report,
        };
        let lead = InstanceStarts::lead_time(context.rng, self.config.speed);
        let wait = Duration::from_millis(context.rng.random_range(300..2_500));
        // In a task of its own, so that a delayed launch delays nothing else.
        let instance_starts = {
            let (apis, key) = (apis.clone(), format!("{}M", self.name));
            tokio::spawn(async move {
                sleep(wait.saturating_sub(lead)).await;
                InstanceStarts::launch(&apis, &key, stopped).await
            })
        };
        sleep(lead.saturating_sub(wait)).await;
        let batches = [
            launch::launch_first_batch(&mut context, self.fault, first).await?,
            launch::launch_with_retries(&apis, second, &names[1]).await?,
        ];
        let clients = batches.each_ref().map(|job| {
            let (apis, position, job) = (apis.clone(), position.clone(), job.clone());
            let (first, lifetimes) =
                (context.rng.random_range(0..2), listener::connection_lifetimes(context.rng));
            tokio::spawn(async move { follow_job(&apis, position, job, first, lifetimes).await })
        });
        sleep(wait).await;
        inject::inject(self.fault, &mut context).await?;
        let restored_at = Instant::now();
        let instance_starts = instance_starts.await??;
        let FaultContext { cluster, required_workers, accepted_jobs: more, mut report, .. } =
            context;
        let accepted_jobs: Vec<_> = batches
            .iter()
            .zip(counts)
            .map(|(job, products)| AcceptedJob::new(job.id, products))
            .chain(more)
            .collect();
        let ids: Vec<_> = accepted_jobs
            .iter()
            .map(|accepted| accepted.job)
            .chain([instance_starts.job])
            .collect();
        for &job in &ids {
            self.wait_until_finished(&apis, job).await?;
        }
        let recovery_time = restored_at.elapsed();
        inject::restore_nodes(cluster).await?;

        let mut needs_review = 0;
        for job in &accepted_jobs {
            audit::check_items(&apis[0], job.job, job.products, job.allowed, &mut report).await?;
        }
        instance_starts.check(&apis[0], &mut report).await?;
        for &job in &ids {
            needs_review += apis[0].job(job).await?.counts.needs_review;
        }
        report.add_figure("need review", needs_review.to_string(), None);
        check_job_list(&apis[0], &known, &ids, &mut report).await?;
        let mut cuts = Vec::new();
        for client in clients {
            let ListenerResult { page, cuts: cut } =
                timeout(STUCK_TIMEOUT, client).await.context("a client received no end")???;
            page.compare_with_store(&apis[1], &mut report).await?;
            cuts.push(cut);
        }
        let enough = cuts.iter().all(|cut| *cut >= MIN_CUTS);
        report.add_check("each client is cut off twice or more", enough, format!("{cuts:?} times"));
        report.add_figure("cuts", format!("{cuts:?}"), None);
        let launched = [batches[0].id, batches[1].id, instance_starts.job];
        let tasks = fault_checks::tasks_with_attempts(&apis[0], &launched).await?;
        fault_checks::check_workers_took_part(&required_workers, &tasks, &mut report);
        check_fault(self.fault, &apis[0], batches[0].id, &tasks, &mut report).await?;
        audit::check_ledger_since(&apis[0], &before, &ids, &self.config.rate_limits(), &mut report)
            .await?;
        let items: usize =
            accepted_jobs.iter().map(|accepted| accepted.products * CHANNEL_COUNT).sum();
        let items = items + InstanceStarts::expected_task_count();
        let (figures, failed_checks) =
            (report.figures().collect(), report.failed_checks().collect());
        Ok(FaultRoundResult { items, needs_review, recovery_time, figures, failed_checks })
    }

    /// Waits until the job has finished, as long as it makes progress.
    async fn wait_until_finished(&self, apis: &[ApiClient], job: JobId) -> anyhow::Result<()> {
        let mut progress = (Instant::now(), u32::MAX);
        for api in apis.iter().cycle() {
            if let Ok(found) = api.job(job).await {
                if found.state != JobState::Running {
                    return Ok(());
                }
                if found.counts.open != progress.1 {
                    progress = (Instant::now(), found.counts.open);
                }
            }
            let stuck = progress.0.elapsed() > self.config.stuck_timeout();
            ensure!(!stuck, "{} items don't finish", progress.1);
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// Returns the newest jobs in the user's list.
async fn listed_job_ids(api: &ApiClient) -> anyhow::Result<BTreeSet<JobId>> {
    Ok(api.jobs().await?.items.into_iter().map(|job| job.id).collect())
}

/// Checks that the new jobs in the user's list are those that clients got a 202
/// for: no key has made two jobs, and no refused launch is listed.
async fn check_job_list(
    api: &ApiClient,
    known: &BTreeSet<JobId>,
    accepted_jobs: &[JobId],
    report: &mut Report,
) -> anyhow::Result<()> {
    let accepted_jobs: BTreeSet<_> = accepted_jobs.iter().copied().collect();
    let new: BTreeSet<_> = listed_job_ids(api).await?.difference(known).copied().collect();
    report.add_check(
        "listed jobs are the accepted jobs",
        new == accepted_jobs,
        format!("{} listed, {} accepted", new.len(), accepted_jobs.len()),
    );
    Ok(())
}
