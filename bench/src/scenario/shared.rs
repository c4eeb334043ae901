//! Several processes on PostgreSQL, RabbitMQ and Redis: how long a 202 takes, with
//! and without the broker, whether workers share a channel's rate limit, and
//! whether a small batch waits behind a large one.

use crate::{
    audit,
    host::{DiskProbe, HostInfo},
    report::{Report, Samples, Threshold, format_duration},
};
use anyhow::ensure;
use contract::{JobId, state::JobState};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, SandboxConfig,
    api::{CHANNEL_COUNT, product_csv, product_csv_with_prefix},
};
use tokio::time::sleep;

const MAX_UPLOAD_LATENCY: Duration = Duration::from_millis(60);
const CHANNEL: &str = "acme";
/// Sandbox speed at which no rate permit comes during the measurement, so that
/// workers are idle.
const IDLE_SPEED: f64 = 0.001;
/// Sandbox speed at which a job finishes soon after the broker is back.
const FAST_SPEED: f64 = 5.0;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Number of launches without a broker.
const LAUNCHES_WITHOUT_BROKER: usize = 20;
/// Products of the job that has to run when the broker is back.
const OUTAGE_PRODUCTS: usize = 10;
/// Maximum duration of a small batch behind a large one, as a multiple of its
/// duration without it.
const MAX_FAIRNESS_RATIO: f64 = 3.0;
/// Latency of each call while fairness is measured, s.
const LATENCY_S: f64 = 2.0;

/// A part of the scenario, with its own servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Measure the time from a launch to its 202.
    Accept,
    /// Measure the same without the broker, and the recovery when it is back.
    Outage,
    /// Measure the rate of several workers on one channel.
    Pace,
    /// Measure a small batch behind a large one.
    Fairness,
}

#[derive(clap::Args)]
pub struct MultiProcess {
    /// Run only these parts; all of them by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Number of launches.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Products of one launch.
    #[arg(long, default_value_t = 200)]
    products: usize,
    /// Worker processes that share a channel.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Products that are uploaded to that channel.
    #[arg(long, default_value_t = 120)]
    paced_products: usize,
    /// Products of the large batch.
    #[arg(long, default_value_t = 10_000)]
    large_batch_products: usize,
}

impl MultiProcess {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let title = "shared: separate processes on PostgreSQL, RabbitMQ and Redis, faults off";
        let mut report = Report::new(title, HostInfo::collect(&std::env::temp_dir()));
        let all = [Part::Accept, Part::Outage, Part::Pace, Part::Fairness];
        for part in all.into_iter().filter(|it| self.only.is_empty() || self.only.contains(it)) {
            let start = Instant::now();
            match part {
                Part::Accept => self.measure_launch_latency(binary, &mut report).await?,
                Part::Outage => self.measure_outage(binary, &mut report).await?,
                Part::Pace => self.measure_pace(binary, &mut report).await?,
                Part::Fairness => self.measure_fairness(binary, &mut report).await?,
            }
            // A part takes minutes, and silence would look like a standstill.
            eprintln!("{part:?}: {}", format_duration(start.elapsed()));
        }
        Ok(report)
    }

    async fn measure_launch_latency(
        &self,
        binary: &Path,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let cluster = start_cluster(binary, IDLE_SPEED, 1).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let threshold = report_flush(&cluster, report)?;
        self.measure_launches(&api, 5, "warm").await?;
        let times = self.measure_launches(&api, self.samples, "with").await?;
        report.add_timings(
            format!("202 of {} × {CHANNEL_COUNT}", self.products),
            times,
            &threshold,
        );
        Ok(())
    }

    async fn measure_outage(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let mut cluster = start_cluster(binary, FAST_SPEED, 2).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let threshold = report_flush(&cluster, report)?;
        tokio::task::block_in_place(|| cluster.rabbit.kill());
        let times = self.measure_launches(&api, LAUNCHES_WITHOUT_BROKER, "without").await?;
        report.add_timings("the same without the broker", times, &threshold);
        let job = api.upload(product_csv_with_prefix("OUTAGE", OUTAGE_PRODUCTS), "outage").await?;
        let counts = api.job(job.id).await?.counts;
        let detail = format!("{} of {} items wait", counts.open, counts.total);
        report.add_check("nothing runs without the broker", counts.open == counts.total, detail);
        tokio::task::block_in_place(|| cluster.rabbit.spawn());
        let back = Instant::now();
        wait_until_finished(&api, job.id).await?;
        let elapsed = format_duration(back.elapsed());
        report.add_figure(
            format!("{OUTAGE_PRODUCTS} × {CHANNEL_COUNT} after the broker is back"),
            elapsed,
            None,
        );
        audit::check_finished_upload(&api, job.id, OUTAGE_PRODUCTS, report).await
    }

    /// Measures launches, and cancels each so that the next one has the same conditions.
    async fn measure_launches(
        &self,
        api: &ApiClient,
        count: usize,
        name: &str,
    ) -> anyhow::Result<Samples> {
        let (file, mut times) = (product_csv(self.products), Samples::default());
        for n in 0..count {
            let start = Instant::now();
            let job = api.upload(file.clone(), &format!("{name}-{n}")).await?;
            times.add(start.elapsed());
            api.cancel(job.id).await?;
            sleep(POLL_INTERVAL).await;
        }
        Ok(times)
    }

    #[allow(clippy::cast_precision_loss)]
    async fn measure_pace(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let cluster = start_cluster(binary, 1.0, self.workers).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let job = api.upload_to_channels(CHANNEL, product_csv(self.paced_products), "pace").await?;
        wait_until_finished(&api, job.id).await?;
        audit::check_ledger(&api, &[job.id], report).await?;
        let rate_used =
            api.ledger_summary().await?.get(CHANNEL).and_then(|seen| seen.observed_rate);
        let rate = sandbox::SAMPLE_CHANNELS
            .iter()
            .find(|spec| spec.id == CHANNEL)
            .map_or(0.0, |spec| spec.rate.per_second * 0.97);
        let used = rate_used.unwrap_or_default() / rate;
        report.add_figure(
            format!("{} workers: used of 0.97 × 2 a second", self.workers),
            format!("{:.1} %", used * 100.0),
            Some(("≥ 95 %", used >= 0.95)),
        );
        Ok(())
    }

    /// Measures at the channel's own rate, 2 requests per second, with 2 s of latency.
    async fn measure_fairness(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let options = ClusterOptions { latency_s: Some(LATENCY_S), ..DURABLE };
        let cluster = start_cluster_with(binary, 1.0, 2, options).await?;
        let api = cluster.signed_in_clients().await?.remove(0);
        let small = async |name: &str| -> anyhow::Result<Duration> {
            let start = Instant::now();
            let job =
                api.upload_to_channels(CHANNEL, product_csv_with_prefix(name, 5), name).await?;
            wait_until_finished(&api, job.id).await?;
            Ok(start.elapsed())
        };
        small("WARM").await?;
        let alone = small("ALONE").await?;
        let large = api
            .upload_to_channels(
                CHANNEL,
                product_csv_with_prefix("LARGE", self.large_batch_products),
                "large",
            )
            .await?;
        while api.job(large.id).await?.counts.finished() < 5 {
            sleep(POLL_INTERVAL).await;
        }
        let behind = small("BEHIND").await?;
        ensure!(api.job(large.id).await?.counts.open > 0, "the large batch has finished already");
        let ratio = behind.as_secs_f64() / alone.as_secs_f64();
        report.add_figure(
            format!("5 products alone, latency {LATENCY_S} s"),
            format_duration(alone),
            None,
        );
        report.add_figure(
            format!("5 products behind {}", self.large_batch_products),
            format!("{}, {ratio:.2} × as long", format_duration(behind)),
            Some(("≤ 3 ×", ratio <= MAX_FAIRNESS_RATIO)),
        );
        Ok(())
    }
}

/// Makes commits wait for the disk, because a 202 promises that nothing is lost.
const DURABLE: ClusterOptions = ClusterOptions {
    noops: false,
    durable: true,
    without_proxies: false,
    latency_s: None,
    env: Vec::new(),
};

async fn start_cluster(binary: &Path, speed: f64, workers: usize) -> anyhow::Result<Cluster> {
    start_cluster_with(binary, speed, workers, DURABLE).await
}

async fn start_cluster_with(
    binary: &Path,
    speed: f64,
    workers: usize,
    options: ClusterOptions,
) -> anyhow::Result<Cluster> {
    let sandbox_config = SandboxConfig::without_faults(speed);
    let config = ClusterConfig { web: 1, workers, lease_s: 60, small_disk: false, sandbox_config };
    Cluster::start_with(binary, config, options).await
}

/// Reports how long a flush takes, and returns the threshold of a launch, which
/// allows for one flush.
fn report_flush(cluster: &Cluster, report: &mut Report) -> anyhow::Result<[Threshold; 1]> {
    let flush = DiskProbe::measure_flushes(cluster.folder())?;
    let threshold =
        [Threshold { percentile: 95, limit: MAX_UPLOAD_LATENCY + flush.percentile(95) }];
    report.add_timings("write + fdatasync of 4 KiB", flush, &[]);
    Ok(threshold)
}

async fn wait_until_finished(api: &ApiClient, job: JobId) -> anyhow::Result<()> {
    while api.job(job).await?.state == JobState::Running {
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
