//! Several processes on PostgreSQL, RabbitMQ and Redis: how long a 202 takes,
//! what a broker that is away does to it, whether workers share a channel's
//! pace, and whether a small batch waits behind a large one.

use crate::{
    api::{Api, WIDTH, csv, csv_of},
    audit,
    cluster::{Besides, Cluster, Size},
    machine::{Disk, Machine},
    process::Outside,
    report::{Bar, Report, Samples, time},
};
use anyhow::ensure;
use contract::{JobId, state::JobState};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const UPLOAD: Duration = Duration::from_millis(60);
const CHANNEL: &str = "acme";
/// So slow that no slot comes while it is measured: workers are quiet.
const QUIET: f64 = 0.001;
/// Fast enough that a job is over soon after its broker is back.
const BRISK: f64 = 5.0;
const REST: Duration = Duration::from_millis(50);
/// Launches without a broker.
const WITHOUT: usize = 20;
/// Products of the job that has to run when the broker is back.
const KEPT: usize = 10;
/// A small batch behind a large one takes at most so many times its own time.
const FAIR: f64 = 3.0;
/// Of each call while fairness is measured.
const LATENCY_S: f64 = 2.0;

/// A part of it, with servers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// From a launch to its 202.
    Accept,
    /// The same while the broker is away, and what runs when it is back.
    Outage,
    /// Workers on one channel.
    Pace,
    /// A small batch behind a large one.
    Fairness,
}

#[derive(clap::Args)]
pub struct Shared {
    /// Some parts only; all of them without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Launches.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Products of one launch.
    #[arg(long, default_value_t = 200)]
    products: usize,
    /// Worker processes that share a channel.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Products that they upload to it.
    #[arg(long, default_value_t = 120)]
    paced: usize,
    /// Products of the large batch.
    #[arg(long, default_value_t = 10_000)]
    large: usize,
}

impl Shared {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let title = "shared: separate processes on PostgreSQL, RabbitMQ and Redis, faults off";
        let mut report = Report::new(title, Machine::of(&std::env::temp_dir()));
        let all = [Part::Accept, Part::Outage, Part::Pace, Part::Fairness];
        for part in all.into_iter().filter(|it| self.only.is_empty() || self.only.contains(it)) {
            let start = Instant::now();
            match part {
                Part::Accept => self.accept(binary, &mut report).await?,
                Part::Outage => self.outage(binary, &mut report).await?,
                Part::Pace => self.pace(binary, &mut report).await?,
                Part::Fairness => self.fairness(binary, &mut report).await?,
            }
            // Minutes go by: silence would look like a standstill.
            eprintln!("{part:?}: {}", time(start.elapsed()));
        }
        Ok(report)
    }

    async fn accept(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let cluster = start(binary, QUIET, 1).await?;
        let api = cluster.apis().await?.remove(0);
        let bar = flush(&cluster, report)?;
        self.launches(&api, 5, "warm").await?;
        let times = self.launches(&api, self.samples, "with").await?;
        report.times(format!("202 of {} × {WIDTH}", self.products), times, &bar);
        Ok(())
    }

    async fn outage(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let mut cluster = start(binary, BRISK, 2).await?;
        let api = cluster.apis().await?.remove(0);
        let bar = flush(&cluster, report)?;
        tokio::task::block_in_place(|| cluster.rabbit.kill());
        let times = self.launches(&api, WITHOUT, "without").await?;
        report.times("the same without the broker", times, &bar);
        let job = api.upload(csv_of("KEPT", KEPT), "kept").await?;
        let counts = api.job(job.id).await?.counts;
        let detail = format!("{} of {} items wait", counts.open, counts.total);
        report.check("nothing runs without the broker", counts.open == counts.total, detail);
        tokio::task::block_in_place(|| cluster.rabbit.spawn());
        let back = Instant::now();
        until_ended(&api, job.id).await?;
        let took = time(back.elapsed());
        report.figure(format!("{KEPT} × {WIDTH} after the broker is back"), took, None);
        audit::finished(&api, job.id, KEPT, report).await
    }

    /// Takes each launch back, so that the next one finds the same.
    async fn launches(&self, api: &Api, count: usize, name: &str) -> anyhow::Result<Samples> {
        let (file, mut times) = (csv(self.products), Samples::default());
        for n in 0..count {
            let start = Instant::now();
            let job = api.upload(file.clone(), &format!("{name}-{n}")).await?;
            times.add(start.elapsed());
            api.cancel(job.id).await?;
            sleep(REST).await;
        }
        Ok(times)
    }

    #[allow(clippy::cast_precision_loss)]
    async fn pace(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let cluster = start(binary, 1.0, self.workers).await?;
        let api = cluster.apis().await?.remove(0);
        let job = api.upload_to(CHANNEL, csv(self.paced), "pace").await?;
        until_ended(&api, job.id).await?;
        audit::ledger(&api, &[job.id], report).await?;
        let used = api.ledger_summary().await?.get(CHANNEL).and_then(|seen| seen.rate_used);
        let rate = sandbox::channels()
            .iter()
            .find(|spec| spec.id == CHANNEL)
            .map_or(0.0, |spec| spec.rate.per_second * 0.97);
        let used = used.unwrap_or_default() / rate;
        report.figure(
            format!("{} workers: used of 0.97 × 2 a second", self.workers),
            format!("{:.1} %", used * 100.0),
            Some(("≥ 95 %", used >= 0.95)),
        );
        Ok(())
    }

    /// At the channel's own speed, 2 requests a second, with 2 s of latency.
    async fn fairness(&self, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
        let with = Besides { latency_s: Some(LATENCY_S), ..DURABLE };
        let cluster = start_with(binary, 1.0, 2, with).await?;
        let api = cluster.apis().await?.remove(0);
        let small = async |name: &str| -> anyhow::Result<Duration> {
            let start = Instant::now();
            let job = api.upload_to(CHANNEL, csv_of(name, 5), name).await?;
            until_ended(&api, job.id).await?;
            Ok(start.elapsed())
        };
        small("WARM").await?;
        let alone = small("ALONE").await?;
        let large = api.upload_to(CHANNEL, csv_of("LARGE", self.large), "large").await?;
        while api.job(large.id).await?.counts.done() < 5 {
            sleep(REST).await;
        }
        let behind = small("BEHIND").await?;
        ensure!(api.job(large.id).await?.counts.open > 0, "the large batch is done already");
        let ratio = behind.as_secs_f64() / alone.as_secs_f64();
        report.figure(format!("5 products alone, latency {LATENCY_S} s"), time(alone), None);
        report.figure(
            format!("5 products behind {}", self.large),
            format!("{}, {ratio:.2} × as long", time(behind)),
            Some(("≤ 3 ×", ratio <= FAIR)),
        );
        Ok(())
    }
}

/// A 202 promises that nothing is lost: its commit waits for the disk.
const DURABLE: Besides = Besides { noops: false, durable: true, straight: false, latency_s: None };

async fn start(binary: &Path, speed: f64, workers: usize) -> anyhow::Result<Cluster> {
    start_with(binary, speed, workers, DURABLE).await
}

async fn start_with(
    binary: &Path,
    speed: f64,
    workers: usize,
    with: Besides,
) -> anyhow::Result<Cluster> {
    let outside = Outside::calm(speed);
    let size = Size { web: 1, workers, lease_s: 60, small_disk: false, outside };
    Cluster::start_with(binary, size, with).await
}

/// Tells how long a flush takes here; the bar of a launch allows for one.
fn flush(cluster: &Cluster, report: &mut Report) -> anyhow::Result<[Bar; 1]> {
    let flush = Disk::measure(cluster.folder())?;
    let bar = [Bar { percent: 95, most: UPLOAD + flush.at(95) }];
    report.times("write + fdatasync of 4 KiB", flush, &[]);
    Ok(bar)
}

async fn until_ended(api: &Api, job: JobId) -> anyhow::Result<()> {
    while api.job(job).await?.state == JobState::Running {
        sleep(REST).await;
    }
    Ok(())
}
