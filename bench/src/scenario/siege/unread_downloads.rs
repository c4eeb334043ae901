//! Somebody who is signed in asks for a large file of failed products on many
//! connections, and reads nothing.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection::{self, STRANGER},
    honest::Honest,
};
use crate::{api::Api, process::Meanwhile};
use anyhow::ensure;
use contract::{JobId, state::JobState};
use futures_util::FutureExt;
use std::{
    fmt::Write,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use tokio::time::sleep;

pub const ATTEMPT: Attempt = Attempt {
    name: "unread-downloads",
    required: "Hundreds of requests for a large file that nobody reads keep little memory and \
               delay nobody.",
    run: |setting| run(setting).boxed(),
};

/// Memory that the requests may take, MB.
const MEMORY: u64 = 150;
/// Longest wait of an honest client; in the quick form of one whose server is
/// not optimised and shares its processors with other tests.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_QUICK: Duration = Duration::from_secs(5);
const CHANNEL: &str = "acme";
/// Longest time until the job has ended.
const ENDED: Duration = Duration::from_secs(120);

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let counts = setting.choose(vec![60, 200], vec![60]);
    let held = setting.choose(Duration::from_secs(30), Duration::from_secs(3));
    let speed = ("MEANWHILE_SANDBOX_SPEED", "500".to_owned());
    let meanwhile = setting.start_with(&[speed]).await?;
    let job = failed_job(&meanwhile.api, setting.choose(1_500, 150)).await?;
    let wait = setting.choose(WAIT, WAIT_QUICK);
    let mut outcome = Outcome::default();
    for count in counts {
        attempt(&meanwhile, job, count, held, wait, &mut outcome).await?;
    }
    Ok(outcome)
}

async fn attempt(
    meanwhile: &Meanwhile,
    job: JobId,
    count: usize,
    held: Duration,
    wait: Duration,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let (before, port) = (meanwhile.memory()?.now, meanwhile.api.port);
    let headers = format!("Cookie: {}\r\n", meanwhile.api.cookie);
    let request = connection::get(port, &format!("/jobs/{job}/failed.csv"), &headers);
    let honest = Honest::stranger(Ipv4Addr::new(127, 0, 0, 9), meanwhile);
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = connection::open(STRANGER, port).await?;
        connection::send(&mut connection, &request).await?;
        connections.push(connection);
    }
    let start = Instant::now();
    let mut most = meanwhile.memory()?.now;
    while start.elapsed() < held {
        sleep(Duration::from_millis(200)).await;
        most = most.max(meanwhile.memory()?.now);
    }
    let waits = honest.stop().await?;
    drop(connections);
    let over = most.saturating_sub(before) / 1_000_000;
    outcome.require(over <= MEMORY, format!("{count} requests took {over} MB of memory at most"));
    let detail = format!("a stranger elsewhere, beside {count}: {}", waits.describe());
    outcome.require(waits.within(wait), detail);
    Ok(())
}

/// Uploads products that the channel refuses, each with 20 kB of text, and
/// waits until all of them have failed.
async fn failed_job(api: &Api, products: usize) -> anyhow::Result<JobId> {
    let mut file = String::from("sku,title,price,description\n");
    let text = "a lamp for desk and wall ".repeat(800);
    for number in 0..products {
        writeln!(file, "U-{number:05}-SBX-REJECT,Lamp {number},19.90,{text}")?;
    }
    let job = api.upload_to(CHANNEL, file, "rejected").await?.id;
    let start = Instant::now();
    loop {
        let found = api.job(job).await?;
        if found.counts.open == 0 {
            ensure!(found.state == JobState::Failed, "the job is {:?}", found.state);
            return Ok(job);
        }
        ensure!(start.elapsed() < ENDED, "{} items are still open", found.counts.open);
        sleep(Duration::from_millis(200)).await;
    }
}
