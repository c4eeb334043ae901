//! A signed-in user requests a large file of failed products on many connections,
//! and reads nothing.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    honest_client::HonestClient,
    raw_connection::{self, ATTACKER_ADDRESS},
};
use anyhow::ensure;
use contract::{JobId, state::JobState};
use futures_util::FutureExt;
use std::{
    fmt::Write,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use testbed::{ApiClient, ServerProcess};
use tokio::time::sleep;

pub const ATTACK: Attack = Attack {
    name: "unread-downloads",
    requirement: "Hundreds of requests for a large file whose responses are not read use little \
               memory and delay nobody.",
    run: |context| run(context).boxed(),
};

/// Maximum growth of memory because of the requests, MB.
const MAX_MEMORY_MB: u64 = 150;
/// Maximum wait of an honest client.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Maximum wait in the quick form, whose server is not optimised and shares its
/// processors with other tests.
const MAX_WAIT_QUICK: Duration = Duration::from_secs(5);
const CHANNEL: &str = "acme";
/// Maximum time until the job has finished.
const JOB_TIMEOUT: Duration = Duration::from_secs(120);

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let counts = context.full_or_quick(vec![60, 200], vec![60]);
    let duration = context.full_or_quick(Duration::from_secs(30), Duration::from_secs(3));
    let speed = ("MEANWHILE_SANDBOX_SPEED", "500".to_owned());
    let server = context.start_with_env(&[speed]).await?;
    let job = create_failed_job(&server.api, context.full_or_quick(1_500, 150)).await?;
    let wait = context.full_or_quick(MAX_WAIT, MAX_WAIT_QUICK);
    let mut outcome = AttackResult::default();
    for count in counts {
        download_without_reading(&server, job, count, duration, wait, &mut outcome).await?;
    }
    Ok(outcome)
}

async fn download_without_reading(
    server: &ServerProcess,
    job: JobId,
    count: usize,
    duration: Duration,
    wait: Duration,
    outcome: &mut AttackResult,
) -> anyhow::Result<()> {
    let (before, port) = (server.memory_usage()?.current, server.api.port);
    let headers = format!("Cookie: {}\r\n", server.api.cookie);
    let request = raw_connection::get_request(port, &format!("/jobs/{job}/failed.csv"), &headers);
    let honest = HonestClient::signed_out(Ipv4Addr::new(127, 0, 0, 9), server);
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = raw_connection::open(ATTACKER_ADDRESS, port).await?;
        raw_connection::send(&mut connection, &request).await?;
        connections.push(connection);
    }
    let start = Instant::now();
    let mut peak = server.memory_usage()?.current;
    while start.elapsed() < duration {
        sleep(Duration::from_millis(200)).await;
        peak = peak.max(server.memory_usage()?.current);
    }
    let waits = honest.stop().await?;
    drop(connections);
    let growth = peak.saturating_sub(before) / 1_000_000;
    outcome.require(
        growth <= MAX_MEMORY_MB,
        format!("{count} requests took {growth} MB of memory at most"),
    );
    let detail = format!("a stranger elsewhere, beside {count}: {}", waits.describe());
    outcome.require(waits.are_within(wait), detail);
    Ok(())
}

/// Uploads products that the channel rejects, each with 20 kB of text, and waits
/// until all of them have failed.
async fn create_failed_job(api: &ApiClient, products: usize) -> anyhow::Result<JobId> {
    let mut file = String::from("sku,title,price,description\n");
    let text = "a lamp for desk and wall ".repeat(800);
    for number in 0..products {
        writeln!(file, "U-{number:05}-SBX-REJECT,Lamp {number},19.90,{text}")?;
    }
    let job = api.upload_to_channels(CHANNEL, file, "rejected").await?.id;
    let start = Instant::now();
    loop {
        let found = api.job(job).await?;
        if found.counts.open == 0 {
            ensure!(found.state == JobState::Failed, "the job is {:?}", found.state);
            return Ok(job);
        }
        ensure!(start.elapsed() < JOB_TIMEOUT, "{} items are still open", found.counts.open);
        sleep(Duration::from_millis(200)).await;
    }
}
