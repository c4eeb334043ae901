//! One file each; all start from an empty folder.

mod accept;
mod batch;
mod cuts;
mod disk_full;
mod faults;
mod kills;
mod large;
mod mixed_pages;
mod open_jobs;
mod relay;
mod shared;
mod siege;
mod sign_in_races;
mod soak;
mod throughput;

use crate::report::Report;
use std::path::Path;

#[derive(clap::Subcommand)]
pub enum Scenario {
    /// From a launch to its 202, beside one flush to the same disk.
    Accept(accept::Accept),
    /// A batch at real speed against what the channels allow.
    Batch(batch::Batch),
    /// From a worker's commit to the frame in a client.
    Relay(relay::Relay),
    /// `kill -9` again and again in one batch.
    Kills(kills::Kills),
    /// A client whose connection is cut again and again in one batch.
    Cuts(cuts::Cuts),
    /// The disk under the embedded database, full and empty at random moments.
    DiskFull(disk_full::DiskFull),
    /// The whole as several processes, and everything that may fail under it.
    Faults(faults::Faults),
    /// 202s, a channel's pace and fairness with several processes.
    Shared(shared::Shared),
    /// Attempts to break in or to deny service to others.
    Siege(siege::Siege),
    /// Sign-ins and slow requests while a password or an account ends.
    SignInRaces(sign_in_races::SignInRaces),
    /// A mixed load for minutes, and the memory that it leaves.
    Soak(soak::Soak),
    /// Tasks a second through everything, and what bounds them.
    Throughput(throughput::Throughput),
    /// Thousands of open jobs of one person, and everyone else.
    OpenJobs(open_jobs::OpenJobs),
    /// A file of 10,000 rows.
    Large(large::Large),
    /// Pages of ten people at the same time: nobody sees anything of another.
    MixedPages(mixed_pages::MixedPages),
}

impl Scenario {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        match self {
            Self::Accept(scenario) => scenario.run(binary).await,
            Self::Batch(scenario) => scenario.run(binary).await,
            Self::Relay(scenario) => scenario.run(binary).await,
            Self::Kills(scenario) => scenario.run(binary).await,
            Self::Cuts(scenario) => scenario.run(binary).await,
            Self::DiskFull(scenario) => scenario.run(binary).await,
            Self::Faults(scenario) => scenario.run(binary).await,
            Self::Shared(scenario) => scenario.run(binary).await,
            Self::Siege(scenario) => scenario.run(binary).await,
            Self::SignInRaces(scenario) => scenario.run(binary).await,
            Self::Soak(scenario) => scenario.run(binary).await,
            Self::Throughput(scenario) => scenario.run(binary).await,
            Self::OpenJobs(scenario) => scenario.run(binary).await,
            Self::Large(scenario) => scenario.run(binary).await,
            Self::MixedPages(scenario) => scenario.run(binary).await,
        }
    }
}
