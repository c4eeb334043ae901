//! A file of 10,000 rows: its 202, memory over a minute of work, and how
//! fast lists are read meanwhile.

use crate::{
    api::{WIDTH, csv},
    audit,
    machine::{Disk, Machine},
    process::{Meanwhile, Outside},
    report::{Report, Samples, time},
    stream::Stream,
};
use anyhow::Context;
use contract::live::ServerFrame;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout_at};

/// What the process may take, bytes.
const MEMORY: u64 = 300_000_000;

#[derive(clap::Args)]
pub struct Large {
    #[arg(long, default_value_t = 10_000)]
    products: usize,
    /// Of the sandbox.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Of work that is watched, s.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl Large {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speed, seconds } = self;
        let meanwhile = Meanwhile::start(binary, Outside::calm(speed)).await?;
        let api = &meanwhile.api;
        let title = format!("large: {products} rows × {WIDTH} at speed {speed}, faults off");
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));
        report.times("write + fdatasync of 4 KiB", Disk::measure(meanwhile.folder())?, &[]);
        let before = meanwhile.memory()?;
        let (mut stream, _) = Stream::at_head(api).await?;

        let file = csv(products);
        let bytes = file.len();
        let start = Instant::now();
        let job = api.upload(file, "large").await?;
        let answered = start.elapsed();
        let accepted = meanwhile.memory()?;
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let listener = tokio::spawn(async move {
            let mut facts = 0;
            while let Ok(received) = timeout_at(end, stream.next()).await {
                facts += usize::from(matches!(received?.frame, ServerFrame::Fact(_)));
            }
            anyhow::Ok(facts)
        });
        let (mut lists, mut cursor, mut peak) = (Samples::default(), None, accepted.peak);
        while tokio::time::Instant::now() < end {
            let start = Instant::now();
            let page = api.tasks_page(job.id, cursor.as_deref()).await?;
            lists.add(start.elapsed());
            cursor = page.next;
            peak = peak.max(meanwhile.memory()?.peak);
            sleep(Duration::from_millis(100)).await;
        }
        let facts = listener.await?.context("the socket broke")?;
        let after = meanwhile.memory()?;
        let found = api.job(job.id).await?;

        report.times("one page of 200 tasks, while it works", lists, &[]);
        report.figure(format!("202 of {:.1} MB", mb(bytes)), time(answered), None);
        report.figure("resident before", format!("{:.0} MB", mb64(before.now)), None);
        report.figure("resident after the 202", format!("{:.0} MB", mb64(accepted.now)), None);
        let words = format!("< {:.0} MB", mb64(MEMORY));
        report.figure(
            "resident at the peak",
            format!("{:.0} MB", mb64(peak)),
            Some((&words, peak < MEMORY)),
        );
        report.figure(
            format!("resident after {seconds} s of work"),
            format!("{:.0} MB", mb64(after.now)),
            None,
        );
        report.figure("database", format!("{:.0} MB", mb64(meanwhile.stored()?)), None);
        report.figure("items at an end", format!("{}", found.counts.done()), None);
        report.figure("facts heard", facts.to_string(), None);
        audit::rate_used(api, &mut report).await?;
        let total = usize::try_from(found.counts.total)?;
        report.check("all rows are accepted", total == products * WIDTH, format!("{total} items"));
        audit::ledger(api, &[job.id], &mut report).await?;
        Ok(report)
    }
}

#[allow(clippy::cast_precision_loss)]
fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[allow(clippy::cast_precision_loss)]
fn mb64(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
