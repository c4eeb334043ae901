//! Measures the release binary from outside, over HTTP and WebSocket, and
//! makes sure that what must hold held while it was measured.
//!
//! | module | what |
//! | --- | --- |
//! | [`process`] | the binary as a child: its own folder, free ports, kills |
//! | [`cluster`] | the whole as several processes, with the servers that they share |
//! | [`page`] | what a page knows, and how frames change it |
//! | [`browser`] | forms, sign-ins and slow requests, from an address of their own |
//! | [`api`] | `/api/v1`, and the sandbox past the product |
//! | [`stream`] | a client of `/ws` |
//! | [`audit`] | accepted − terminal, counters, ledger |
//! | [`bounded_disk`] | a disk for a database that can be filled and emptied |
//! | [`cpu`] | who kept the processors busy |
//! | [`machine`] | what it runs on, and how long a flush to its disk takes |
//! | [`report`] | percentiles, bars, the table |
//! | [`scenario`] | one file each |
//!
//! The exit code tells whether correctness held. Speed is told, not judged.

mod api;
mod audit;
mod bounded_disk;
mod browser;
mod cluster;
mod cpu;
mod machine;
mod page;
mod process;
mod report;
mod scenario;
mod stream;

use clap::Parser;
use scenario::Scenario;
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// The binary that is measured; the one beside this without it.
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
    Ok(if report.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
