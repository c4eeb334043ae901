//! The disk of the embedded form is full: launches, claims and ends of calls
//! meet that, at three moments of a batch each. A round has a server of its own.

use super::round::Found;
use crate::{
    api::{Api, csv_of},
    bounded_disk::BoundedDisk,
    process::{Meanwhile, Outside},
};
use anyhow::ensure;
use contract::{JobId, state::JobState};
use rand::{RngExt, rngs::StdRng};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Channels that know a repeated call, so that every item succeeds.
const CHANNELS: &str = "acme,bazaar";
/// Products of each batch.
const PRODUCTS: usize = 20;
/// What is to meet the full disk has met it within this time.
const MET: Duration = Duration::from_secs(60);
/// A batch makes progress within this time.
const STUCK: Duration = Duration::from_secs(90);
const SPEED: f64 = 4.0;
const LEASE_S: u32 = 8;

/// What meets the full disk.
#[derive(Clone, Copy, Debug)]
enum Meets {
    Launch,
    Claim,
    End,
}

impl Meets {
    /// What the log says of it.
    const fn words(self) -> &'static str {
        match self {
            Self::Launch => "the store failed",
            Self::Claim => "a delivery is tried again",
            Self::End => "could not keep the end of a call",
        }
    }
}

pub async fn round(binary: &Path, name: &str, dice: &mut StdRng) -> anyhow::Result<Found> {
    let disk = BoundedDisk::new()?;
    let variables =
        [("MEANWHILE_LEASE_S", LEASE_S.to_string()), ("RUST_LOG", "warn,sqlx=error".to_owned())];
    let mut meanwhile = disk.serve(binary, Outside::calm(SPEED), &variables).await?;
    let mut told: Vec<(JobId, usize)> = Vec::new();
    let (mut recovered, mut figures) = (Duration::ZERO, vec![disk.kind()]);
    for meets in [Meets::Launch, Meets::Claim, Meets::End] {
        for third in 0..3 {
            let case = format!("{name}{meets:?}{third}");
            let batch = csv_of(&case, PRODUCTS);
            let job = meanwhile.api.upload_to(CHANNELS, batch, &case).await?;
            told.push((job.id, PRODUCTS));
            let total = job.counts.total;
            until_done(&meanwhile.api, job.id, total * third / 3).await?;
            sleep(Duration::from_millis(dice.random_range(0..300))).await;
            let before = meanwhile.logged(meets.words());
            let pages = dice.random_range(0..8);
            disk.fill(&meanwhile, pages)?;
            let refused =
                until_met(&meanwhile, meets, before, &case, &mut told).await.inspect_err(|_| {
                    // Else what comes next fails for another reason.
                    let _ = disk.free(&meanwhile);
                })?;
            // Leases run out while an end can't be kept.
            let longer = if third == 2 { LEASE_S * 2 } else { dice.random_range(0..3) };
            sleep(Duration::from_secs(longer.into())).await;
            disk.free(&meanwhile)?;
            let start = Instant::now();
            until_done(&meanwhile.api, job.id, total).await?;
            recovered = recovered.max(start.elapsed());
            figures.push(format!("{meets:?} {third}: {refused} launches refused"));
        }
    }
    let mut broken = Vec::new();
    for restarted in [false, true] {
        if restarted {
            meanwhile.stop().await?;
            meanwhile.spawn().await?;
        }
        for (job, products) in &told {
            if !meanwhile.api.knows(*job).await? {
                broken.push(format!("{job} was answered 202 and is no job"));
                continue;
            }
            until_done(&meanwhile.api, *job, u32::MAX).await?;
            let state = meanwhile.api.job(*job).await?;
            if state.state != JobState::Succeeded || state.counts.succeeded as usize != products * 2
            {
                broken.push(format!("{job} of {products} products ended as {:?}", state.counts));
            }
        }
    }
    let ledger = meanwhile.api.ledger_summary().await?;
    let twice: usize = ledger.values().map(|seen| seen.duplicate_effects).sum();
    if twice > 0 {
        broken.push(format!("{twice} products were made twice"));
    }
    let items = told.iter().map(|(_, products)| products * 2).sum();
    Ok(Found { items, need_person: 0, recovered, figures, broken })
}

/// Launches small jobs until the log says that `meets` met the full disk; what
/// was accepted goes to `told`. Returns how many were refused.
async fn until_met(
    meanwhile: &Meanwhile,
    meets: Meets,
    before: usize,
    case: &str,
    told: &mut Vec<(JobId, usize)>,
) -> anyhow::Result<usize> {
    let (start, mut refused, mut number) = (Instant::now(), 0, 0);
    while refused == 0 || meanwhile.logged(meets.words()) == before {
        ensure!(start.elapsed() < MET, "no {meets:?} met the full disk within {MET:?}");
        number += 1;
        let key = format!("{case}X{number}");
        // The log has room that was used before; that goes first.
        match meanwhile.api.upload_to_or_503(CHANNELS, csv_of(&key, 1), &key).await? {
            Ok(job) => told.push((job.id, 1)),
            Err(words) => {
                ensure!(
                    words.contains("its disk") || words.contains("not known"),
                    "the 503 says {words:?}"
                );
                refused += 1;
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(refused)
}

/// Waits until so many items of the job are at an end, or all of them.
async fn until_done(api: &Api, job: JobId, items: u32) -> anyhow::Result<()> {
    let (mut progress, mut last) = (Instant::now(), u32::MAX);
    loop {
        let counts = api.job(job).await?.counts;
        if counts.open == 0 || counts.done() >= items {
            return Ok(());
        }
        if counts.open != last {
            (progress, last) = (Instant::now(), counts.open);
        }
        ensure!(progress.elapsed() < STUCK, "{job}: {} items are stuck", counts.open);
        sleep(Duration::from_millis(50)).await;
    }
}
