//! From a launch to its 202.
//!
//! Two launches and a flush of the same disk take turns, so that all three
//! meet the same machine and their ratio means something.

use crate::{
    api::{Api, WIDTH, csv},
    machine::{Disk, Machine},
    process::{Meanwhile, Outside},
    report::{Bar, Report, Samples},
    stream::Stream,
};
use anyhow::ensure;
use contract::{api::Job, live::ServerFrame};
use std::{path::Path, time::Duration, time::Instant};
use tokio::time::sleep;

const UPLOAD: Duration = Duration::from_millis(50);
const START: Duration = Duration::from_millis(10);
const MACHINE: &str = "i-0a1b2c3d4e5f60002";
/// Rounds that warm caches and are not counted.
const WARM: usize = 5;
/// So slow that no slot comes while it is measured: workers are quiet.
const QUIET: f64 = 0.001;
/// Between two launches: what the last one woke is asleep again.
const REST: Duration = Duration::from_millis(50);
/// Rows of the batch that is worked on behind the last samples.
const BEHIND: usize = 2_000;

#[derive(clap::Args)]
pub struct Accept {
    /// Launches of each kind.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Products of one upload.
    #[arg(long, default_value_t = 200)]
    products: usize,
}

#[derive(Default)]
struct Times {
    upload: Samples,
    start: Samples,
}

impl Accept {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let quiet = Meanwhile::start(binary, Outside::calm(QUIET)).await?;
        let title = format!(
            "accept: launch to 202; release build, SQLite, loopback, {} products × {WIDTH}",
            self.products
        );
        let mut report = Report::new(title, Machine::of(quiet.folder()));
        let mut disk = Disk::new(quiet.folder())?;
        self.rounds(&quiet.api, WARM, &mut Disk::new(quiet.folder())?).await?;
        let times = self.rounds(&quiet.api, self.samples, &mut disk).await?;
        let flush = disk.flushes.at(95);
        let ratios = [
            ("an upload, in starts (p50)", ratio(&times.upload, &times.start)),
            ("a start, in flushes (p50)", ratio(&times.start, &disk.flushes)),
        ];
        let bar = |most| [Bar { percent: 95, most: most + flush }];
        report.times("write + fdatasync of 4 KiB", disk.flushes, &[]);
        report.times("upload, workers quiet", times.upload, &bar(UPLOAD));
        report.times("one start, workers quiet", times.start, &bar(START));
        for (what, ratio) in ratios {
            report.figure(what, format!("{ratio:.1}"), None);
        }
        drop(quiet);

        let busy = Meanwhile::start(binary, Outside::calm(1.0)).await?;
        let (mut stream, _) = Stream::at_head(&busy.api).await?;
        busy.api.upload(csv(BEHIND), "behind").await?;
        while !matches!(stream.next().await?.frame, ServerFrame::Started(_)) {}
        let mut disk = Disk::new(busy.folder())?;
        let times = self.rounds(&busy.api, self.samples.min(50), &mut disk).await?;
        report.times("write + fdatasync, workers busy", disk.flushes, &[]);
        report.times("upload, workers busy", times.upload, &[]);
        report.times("one start, workers busy", times.start, &[]);
        report.note(
            "Quiet: the sandbox is so slow that no slot comes, and each job is cancelled after \
             its 202.\nBusy: a batch at speed 1 runs behind.",
        );
        Ok(report)
    }

    async fn rounds(&self, api: &Api, count: usize, disk: &mut Disk) -> anyhow::Result<Times> {
        let csv = csv(self.products);
        let mut times = Times::default();
        let run = disk.flushes.len() + count;
        for round in 0..count {
            let key = format!("{run}-{round}");
            let start = Instant::now();
            let job = api.upload(csv.clone(), &format!("upload-{key}")).await?;
            times.upload.add(start.elapsed());
            let total = u32::try_from(self.products * WIDTH)?;
            ensure!(job.counts.total == total, "{} tasks were accepted", job.counts.total);
            calm(api, job).await?;

            let start = Instant::now();
            let job = api.start_machines(&[MACHINE], &format!("start-{key}")).await?;
            times.start.add(start.elapsed());
            calm(api, job).await?;
            disk.flush()?;
        }
        Ok(times)
    }
}

/// Takes the job away, so that the next launch finds an empty queue.
async fn calm(api: &Api, job: Job) -> anyhow::Result<()> {
    api.cancel(job.id).await?;
    sleep(REST).await;
    Ok(())
}

fn ratio(one: &Samples, other: &Samples) -> f64 {
    one.at(50).as_secs_f64() / other.at(50).as_secs_f64()
}
