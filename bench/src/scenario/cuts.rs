//! A client that applies frames as a page does, and whose connection breaks
//! again and again: in the handshake, while it catches up, within a frame.

mod connection;

use crate::{
    api::{WIDTH, csv},
    audit,
    machine::Machine,
    page::Page,
    process::{Meanwhile, Outside},
    report::Report,
    stream::{self, Stream},
};
use anyhow::ensure;
use connection::Brittle;
use contract::live::ServerFrame;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{path::Path, time::Duration};
use tokio::time::sleep;

#[derive(clap::Args)]
pub struct Cuts {
    #[arg(long, default_value_t = 200)]
    cuts: usize,
    #[arg(long, default_value_t = 1_000)]
    products: usize,
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
    /// Of the moments; random without it.
    #[arg(long)]
    seed: Option<u64>,
    /// The longest that the client stays away, ms.
    #[arg(long, default_value_t = 200)]
    away: u64,
}

impl Cuts {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut dice = StdRng::seed_from_u64(seed);
        let outside = Outside { speed: self.speed, seed, faults: true };
        let meanwhile = Meanwhile::start(binary, outside).await?;
        let api = &meanwhile.api;
        let title = format!(
            "cuts: a socket cut {} times in a batch of {} × {WIDTH} at speed {}, faults on, seed {seed}",
            self.cuts, self.products, self.speed
        );
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));

        let (_, since) = Stream::at_head(api).await?;
        let job = api.upload(csv(self.products), "cuts").await?;
        let mut page = Page::new(since, job);
        let mut cuts = 0;
        let mut before_welcome = 0;
        while !page.ended() {
            let connection = stream::connect(api).await?;
            // Evenly over the magnitudes, from the handshake's first byte to
            // some dozen frames.
            let bytes = 2f64.powf(dice.random_range(0.0..16.0));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let left = if cuts < self.cuts { bytes as usize } else { usize::MAX };
            let welcomed = page.welcomes;
            let heard = hear(Brittle::new(connection, left)?, &mut page, api).await;
            if page.ended() {
                break;
            }
            match heard {
                Ok(()) => {}
                Err(error) if cuts < self.cuts => {
                    ensure!(connection::is_cut(&error), error);
                    cuts += 1;
                    before_welcome += usize::from(page.welcomes == welcomed);
                }
                Err(error) => return Err(error),
            }
            sleep(Duration::from_millis(dice.random_range(0..=self.away))).await;
        }
        ensure!(cuts == self.cuts, "the batch ended after {cuts} cuts: give it more --products");
        report.figure("cuts", format!("{cuts}, {before_welcome} before the welcome"), None);
        report.figure("facts applied", page.applied.len().to_string(), None);
        report.figure("resyncs", page.resyncs.to_string(), None);
        page.compare(api, &mut report).await?;
        audit::finished(api, page.job.id, self.products, &mut report).await?;
        Ok(report)
    }
}

/// One connection, until it breaks or the job ends.
async fn hear(connection: Brittle, page: &mut Page, api: &crate::api::Api) -> anyhow::Result<()> {
    let mut stream = Stream::over(connection, api, page.since.clone()).await?;
    loop {
        let frame = stream.next().await?.frame;
        let lost = matches!(frame, ServerFrame::Welcome { recovered: false, .. });
        page.apply(frame);
        if lost {
            page.refetch(api).await?;
        }
        if page.ended() {
            return Ok(());
        }
    }
}
