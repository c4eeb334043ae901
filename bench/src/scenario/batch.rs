//! A batch at real speed against what 0.97 of the channels' limits allow.

use crate::{
    api::{WIDTH, csv},
    audit,
    machine::{Disk, Machine},
    process::{Meanwhile, Outside},
    report::{Report, time},
    stream::Stream,
};
use anyhow::Context;
use std::{path::Path, time::Duration, time::Instant};

/// Wall time over what the limits allow.
const RATIO: f64 = 1.05;

#[derive(clap::Args)]
pub struct Batch {
    #[arg(long, default_value_t = 150)]
    products: usize,
    /// Of the sandbox; the bar is meant for 1.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
}

impl Batch {
    #[allow(clippy::cast_precision_loss)]
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let Self { products, speed } = self;
        let meanwhile = Meanwhile::start(binary, Outside::calm(speed)).await?;
        let api = &meanwhile.api;
        let title = format!("batch: {products} products × {WIDTH} at speed {speed}, faults off");
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));
        report.times("write + fdatasync of 4 KiB", Disk::measure(meanwhile.folder())?, &[]);

        let channels = api.channels().await?;
        let mut allowed = Duration::ZERO;
        for spec in sandbox::channels() {
            let channel = channels.iter().find(|channel| channel.id == spec.id);
            let pace = channel.with_context(|| format!("no channel {}", spec.id))?.pace;
            let paced = Duration::from_secs_f64(products as f64 / pace);
            allowed = allowed.max(paced + spec.latency.div_f64(speed));
        }
        let (mut stream, _) = Stream::at_head(api).await?;
        let job = api.upload(csv(products), "batch").await?;
        let start = Instant::now();
        eprintln!("accepted; the limits allow an end in {}", time(allowed));
        stream.until_finished(job.id).await?;
        let wall = start.elapsed();

        let ratio = wall.as_secs_f64() / allowed.as_secs_f64();
        report.figure("202 to job.finished in a client", time(wall), None);
        report.figure("what 0.97 of the limits allow, and a latency", time(allowed), None);
        let words = format!("≤ {RATIO}");
        report.figure("ratio", format!("{ratio:.3}"), Some((&words, ratio <= RATIO)));
        audit::rate_used(api, &mut report).await?;
        audit::finished(api, job.id, products, &mut report).await?;
        Ok(report)
    }
}
