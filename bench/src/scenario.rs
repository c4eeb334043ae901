//! The scenarios, one file each. Each starts with an empty data folder.

mod accept;
mod attacks;
mod batch;
mod cancel;
mod cuts;
mod disk_full;
mod estimate;
mod faults;
mod feed;
mod kills;
mod large;
mod open_jobs;
mod pace;
mod page_isolation;
mod relay;
mod shared;
mod sign_in_races;
mod soak;
mod throughput;
mod tracing;
mod update;
mod vendure;

use crate::report::Report;
use std::path::Path;

#[derive(clap::Subcommand)]
pub enum Scenario {
    /// Measure the time from a launch to its 202, next to one flush to the same disk.
    Accept(accept::LaunchLatency),
    /// Compare a batch at real speed with what the channels' limits allow.
    Batch(batch::RateLimitedBatch),
    /// Compare the estimates of a job's time, as it runs, with the time that it takes.
    Estimate(estimate::EstimateAccuracy),
    /// Measure the time from a worker's commit to the frame in a client.
    Relay(relay::FactLatency),
    /// Kill the server with `kill -9` again and again during one batch.
    Kills(kills::CrashRecovery),
    /// Cut a client's connection again and again during one batch.
    Cuts(cuts::Reconnects),
    /// Fill and empty the disk under the embedded database at random moments.
    DiskFull(disk_full::DiskFull),
    /// Inject faults into several processes and the servers that they use.
    Faults(faults::Faults),
    /// Measure the time and memory that the largest files take to be read, beside the `csv` crate.
    Feed(feed::LargestFiles),
    /// Measure 202s, a shared rate limit and fairness with several processes.
    Shared(shared::MultiProcess),
    /// Try to break in and to deny service to others.
    Attacks(attacks::Attacks),
    /// Race sign-ins and slow requests against password changes and disabled accounts.
    SignInRaces(sign_in_races::SignInRaces),
    /// Run a mixed load for minutes and compare the memory before and after.
    Soak(soak::Soak),
    /// Measure tasks per second through the whole system, and find the bottleneck.
    Throughput(throughput::Throughput),
    /// Measure what the export of traces costs, in alternating rounds with and without it.
    Tracing(tracing::Tracing),
    /// Measure what thousands of open jobs of one user cost everyone else.
    OpenJobs(open_jobs::OpenJobs),
    /// Upload a file of 10,000 rows.
    Large(large::LargeFile),
    /// Upload the same products twice, half of them with another price, and kill workers.
    Update(update::RepeatedUpload),
    /// Upload products with variants to a real Vendure twice, lose answers and kill workers.
    Vendure(vendure::VendureUpload),
    /// Cancel uploads at random moments, and compare what is told with the ledger.
    Cancel(cancel::Cancellations),
    /// Measure how much is used of limits that only the services' answers tell.
    Pace(pace::LearnedPace),
    /// Read pages of ten users at the same time: nobody sees another's data.
    PageIsolation(page_isolation::PageIsolation),
}

impl Scenario {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        match self {
            Self::Accept(scenario) => scenario.run(binary).await,
            Self::Batch(scenario) => scenario.run(binary).await,
            Self::Estimate(scenario) => scenario.run(binary).await,
            Self::Relay(scenario) => scenario.run(binary).await,
            Self::Kills(scenario) => scenario.run(binary).await,
            Self::Cuts(scenario) => scenario.run(binary).await,
            Self::DiskFull(scenario) => scenario.run(binary).await,
            Self::Faults(scenario) => scenario.run(binary).await,
            Self::Feed(scenario) => scenario.run(binary).await,
            Self::Shared(scenario) => scenario.run(binary).await,
            Self::Attacks(scenario) => scenario.run(binary).await,
            Self::SignInRaces(scenario) => scenario.run(binary).await,
            Self::Soak(scenario) => scenario.run(binary).await,
            Self::Throughput(scenario) => scenario.run(binary).await,
            Self::Tracing(scenario) => scenario.run(binary).await,
            Self::OpenJobs(scenario) => scenario.run(binary).await,
            Self::Large(scenario) => scenario.run(binary).await,
            Self::Update(scenario) => scenario.run(binary).await,
            Self::Vendure(scenario) => scenario.run(binary).await,
            Self::Cancel(scenario) => scenario.run(binary).await,
            Self::Pace(scenario) => scenario.run(binary).await,
            Self::PageIsolation(scenario) => scenario.run(binary).await,
        }
    }
}
