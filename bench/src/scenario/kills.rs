//! `kill -9` at random moments of one batch, the first of them while it is
//! being accepted.

use crate::{
    api::{Api, WIDTH, csv},
    audit::{self, ends::Allowed},
    machine::Machine,
    process::{Meanwhile, Outside},
    report::{Report, Samples},
};
use anyhow::ensure;
use contract::{JobId, state::JobState};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const KEY: &str = "kills";

#[derive(clap::Args)]
pub struct Kills {
    #[arg(long, default_value_t = 20)]
    kills: usize,
    #[arg(long, default_value_t = 600)]
    products: usize,
    #[arg(long, default_value_t = 10.0)]
    speed: f64,
    /// Of the moments; random without it.
    #[arg(long)]
    seed: Option<u64>,
    /// The longest that the process lives, ms.
    #[arg(long, default_value_t = 3_000)]
    life: u64,
}

impl Kills {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let mut dice = StdRng::seed_from_u64(seed);
        let outside = Outside { speed: self.speed, seed, faults: true };
        let mut meanwhile = Meanwhile::start(binary, outside).await?;
        let title = format!(
            "kills: kill -9 {} times in a batch of {} × {WIDTH} at speed {}, faults on, seed {seed}",
            self.kills, self.products, self.speed
        );
        let mut report = Report::new(title, Machine::of(meanwhile.folder()));

        // The answer, if there was one, is lost with the client.
        let (api, file) = (meanwhile.api.clone(), csv(self.products));
        let launch = tokio::spawn({
            let (api, file) = (api.clone(), file.clone());
            async move { api.upload(file, KEY).await }
        });
        sleep(Duration::from_micros(dice.random_range(0..60_000))).await;
        meanwhile.kill();
        let answered = launch.await?.is_ok();
        let mut restarts = Samples::default();
        restart(&mut meanwhile, &mut restarts).await?;
        let job = api.upload(file, KEY).await?.id;
        let jobs = api.jobs().await?.items.len();
        report.check(
            "one key, one job",
            jobs == 1,
            format!("{jobs} after a kill {} the 202", if answered { "after" } else { "before" }),
        );

        for kill in 1..self.kills {
            sleep(Duration::from_millis(dice.random_range(50..self.life))).await;
            let state = api.job(job).await?;
            let done = state.counts.done();
            ensure!(
                state.state == JobState::Running,
                "the batch ended after {kill} kills: give it more --products"
            );
            eprintln!("kill {}: {done} of {} are at an end", kill + 1, state.counts.total);
            meanwhile.kill();
            restart(&mut meanwhile, &mut restarts).await?;
        }
        let left = until_ended(&api, job).await?;
        report.times("kill to ready again", restarts, &[]);
        report.figure("from the last start to the end", format!("{} s", left.as_secs()), None);
        // An item may be under way at five kills in a row.
        let allowed = Allowed { poison: true, ..Allowed::default() };
        audit::items(&api, job, self.products, allowed, &mut report).await?;
        audit::ledger(&api, &[job], &mut report).await?;
        Ok(report)
    }
}

async fn restart(meanwhile: &mut Meanwhile, restarts: &mut Samples) -> anyhow::Result<()> {
    let start = Instant::now();
    meanwhile.spawn().await?;
    restarts.add(start.elapsed());
    Ok(())
}

/// Waits for the job's end as long as it gets on.
async fn until_ended(api: &Api, job: JobId) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut progress = (Instant::now(), u32::MAX);
    loop {
        let open = api.job(job).await?.counts.open;
        if open == 0 {
            return Ok(start.elapsed());
        }
        if open != progress.1 {
            progress = (Instant::now(), open);
        }
        ensure!(
            progress.0.elapsed() < Duration::from_secs(180),
            "{open} items don't come to an end"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
