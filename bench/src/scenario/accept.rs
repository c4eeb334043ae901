//! Measures the time from a launch to its 202.
//!
//! Two launches and a flush of the same disk take turns, so that all three run
//! under the same conditions and their ratios mean something.

use crate::{
    host::{DiskProbe, HostInfo},
    report::{Report, Samples, Threshold},
};
use anyhow::ensure;
use contract::{api::Job, websocket::ServerFrame};
use std::{path::Path, time::Duration, time::Instant};
use testbed::{
    ApiClient, SandboxConfig, ServerProcess, WebSocketClient,
    api::{CHANNEL_COUNT, product_csv},
};
use tokio::time::sleep;

const MAX_UPLOAD_LATENCY: Duration = Duration::from_millis(50);
const MAX_START_LATENCY: Duration = Duration::from_millis(10);
const INSTANCE_ID: &str = "i-0a1b2c3d4e5f60002";
/// Rounds that warm caches and are not counted.
const WARM_UP_ROUNDS: usize = 5;
/// Sandbox speed at which no rate permit comes during the measurement, so that
/// workers are idle.
const IDLE_SPEED: f64 = 0.001;
/// Pause between two launches, after which what the first one woke is idle again.
const PAUSE_BETWEEN_LAUNCHES: Duration = Duration::from_millis(50);
/// Rows of the batch that runs during the last samples.
const BACKGROUND_PRODUCTS: usize = 2_000;

#[derive(clap::Args)]
pub struct LaunchLatency {
    /// Number of launches of each kind.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Products of one upload.
    #[arg(long, default_value_t = 200)]
    products: usize,
}

#[derive(Default)]
struct LaunchTimes {
    upload: Samples,
    start: Samples,
}

impl LaunchLatency {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let idle = ServerProcess::start(binary, SandboxConfig::without_faults(IDLE_SPEED)).await?;
        let title = format!(
            "accept: launch to 202; release build, SQLite, loopback, {} products × {CHANNEL_COUNT}",
            self.products
        );
        let mut report = Report::new(title, HostInfo::collect(idle.folder()));
        let mut disk = DiskProbe::new(idle.folder())?;
        self.measure_rounds(&idle.api, WARM_UP_ROUNDS, &mut DiskProbe::new(idle.folder())?).await?;
        let times = self.measure_rounds(&idle.api, self.samples, &mut disk).await?;
        let flush = disk.flush_times.percentile(95);
        let ratios = [
            ("upload / start (p50)", ratio_of_medians(&times.upload, &times.start)),
            ("start / flush (p50)", ratio_of_medians(&times.start, &disk.flush_times)),
        ];
        let threshold = |limit| [Threshold { percentile: 95, limit: limit + flush }];
        report.add_timings("write + fdatasync of 4 KiB", disk.flush_times, &[]);
        report.add_timings("upload, workers idle", times.upload, &threshold(MAX_UPLOAD_LATENCY));
        report.add_timings("one start, workers idle", times.start, &threshold(MAX_START_LATENCY));
        for (what, ratio) in ratios {
            report.add_figure(what, format!("{ratio:.1}"), None);
        }
        drop(idle);

        let busy = ServerProcess::start(binary, SandboxConfig::without_faults(1.0)).await?;
        let (mut stream, _) = WebSocketClient::open_at_head(&busy.api).await?;
        busy.api.upload(product_csv(BACKGROUND_PRODUCTS), "background").await?;
        while !matches!(stream.next_frame().await?.frame, ServerFrame::Started(_)) {}
        let mut disk = DiskProbe::new(busy.folder())?;
        let times = self.measure_rounds(&busy.api, self.samples.min(50), &mut disk).await?;
        report.add_timings("write + fdatasync, workers busy", disk.flush_times, &[]);
        report.add_timings("upload, workers busy", times.upload, &[]);
        report.add_timings("one start, workers busy", times.start, &[]);
        report.add_note(
            "Idle: the sandbox is so slow that no rate permit comes, and each job is cancelled \
             after its 202.\nBusy: a batch at speed 1 runs in the background.",
        );
        Ok(report)
    }

    async fn measure_rounds(
        &self,
        api: &ApiClient,
        count: usize,
        disk: &mut DiskProbe,
    ) -> anyhow::Result<LaunchTimes> {
        let csv = product_csv(self.products);
        let mut times = LaunchTimes::default();
        let run = disk.flush_times.len() + count;
        for round in 0..count {
            let key = format!("{run}-{round}");
            let start = Instant::now();
            let job = api.upload(csv.clone(), &format!("upload-{key}")).await?;
            times.upload.add(start.elapsed());
            let total = u32::try_from(self.products * CHANNEL_COUNT)?;
            ensure!(job.counts.total == total, "{} tasks were accepted", job.counts.total);
            cancel_and_pause(api, job).await?;

            let start = Instant::now();
            let job = api.start_instances(&[INSTANCE_ID], &format!("start-{key}")).await?;
            times.start.add(start.elapsed());
            cancel_and_pause(api, job).await?;
            disk.flush()?;
        }
        Ok(times)
    }
}

/// Cancels the job, so that the next launch finds an empty queue.
async fn cancel_and_pause(api: &ApiClient, job: Job) -> anyhow::Result<()> {
    api.cancel(job.id).await?;
    sleep(PAUSE_BETWEEN_LAUNCHES).await;
    Ok(())
}

fn ratio_of_medians(one: &Samples, other: &Samples) -> f64 {
    one.percentile(50).as_secs_f64() / other.percentile(50).as_secs_f64()
}
