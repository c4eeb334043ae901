//! Measures the release binary from outside, over HTTP and WebSocket, and
//! checks its correctness under that load.
//!
//! | module | content |
//! | --- | --- |
//! | [`job_page_model`] | the state of a job page, and how frames change it |
//! | [`browser`] | forms, sign-ins and slow requests from a chosen loopback address |
//! | [`audit`] | checks of items, counters and the sandbox's ledger |
//! | [`bounded_disk`] | a disk for a database that can be filled and emptied |
//! | [`cpu`] | CPU time by process |
//! | [`host`] | the host's hardware and system, and the duration of a flush to its disk |
//! | [`progress`] | waits for the progress of a job |
//! | [`report`] | percentiles, thresholds and the printed table |
//! | [`scenario`] | the scenarios, one file each |
//! | [`worker_kills`] | kills of workers that are running tasks |
//!
//! The crate `testbed` starts what is measured, and has its clients.
//!
//! The exit code depends on the correctness checks alone; speed is only reported.

mod audit;
mod bounded_disk;
mod browser;
mod cpu;
mod host;
mod job_page_model;
mod progress;
mod report;
mod scenario;
mod worker_kills;

use clap::Parser;
use scenario::Scenario;
use std::{path::PathBuf, process::ExitCode};

/// The server's allocator, so that scenarios that measure a part of it in this program measure
/// the memory that the server takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Path of the binary to measure; by default `meanwhile` beside this program.
    #[arg(long)]
    binary: Option<PathBuf>,
    #[command(subcommand)]
    scenario: Scenario,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { binary, scenario } = Arguments::parse();
    let binary = match binary {
        Some(binary) => binary,
        None => std::env::current_exe()?.with_file_name("meanwhile"),
    };
    let report = scenario.run(&binary).await?;
    println!("{report}");
    Ok(if report.all_checks_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
