//! Several processes on real servers, and faults in all of them: one fault per
//! round, while two batches and a start of instances are running and two clients
//! listen.
//!
//! | module | content |
//! | --- | --- |
//! | [`fault`] | the faults, their requirements and the random generator of a round |
//! | [`round`] | a round: launch, fault, recovery and checks |
//! | [`context`] | what a fault works on, and the jobs that it launched |
//! | [`launch`] | the batches, and kills of web nodes during their launch |
//! | [`instances`] | the start of instances before, during and after its round |
//! | [`embedded_disk_full`] | the full disk of one process with SQLite |
//! | [`inject`] | all other faults, and the recovery from them |
//! | [`listener`] | a client whose connection is cut |
//! | [`fault_checks`] | checks of items and attempts |
//! | [`table`] | the results of all rounds |

mod context;
mod embedded_disk_full;
mod fault;
mod fault_checks;
mod inject;
mod instances;
mod launch;
mod listener;
mod round;
mod table;

use crate::{host::HostInfo, report::Report};
use fault::Fault;
use instances::InstanceStarts;
use round::{FaultRound, FaultRoundResult, RoundConfig};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use table::ResultTable;
use testbed::{Cluster, ClusterConfig, SandboxConfig};

#[derive(clap::Args)]
pub struct Faults {
    /// Rounds of each fault.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Run only this round of each fault, counted from 0; with the same seed it has
    /// the same moments again.
    #[arg(long)]
    round: Option<usize>,
    /// Run only these faults, by name; `--list` shows the names.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print the names of all faults and what is required.
    #[arg(long)]
    list: bool,
    /// Products of each of the two batches.
    #[arg(long, default_value_t = 40)]
    products: usize,
    #[arg(long, default_value_t = 5.0)]
    speed: f64,
    /// Lease of a claim, s. Half of it is the time limit of a call, which must be
    /// well over the slowest channel's latency (10 s by the speed).
    #[arg(long, default_value_t = 8)]
    lease: u32,
    /// Maximum delay of a request on its way to a channel on a busy host, ms; with 0,
    /// the channels' own counts decide.
    #[arg(long, default_value_t = 0)]
    max_request_delay: u64,
    /// Seed of the moments and of the sandbox's faults; random by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Write the table to this file.
    #[arg(long)]
    write: Option<PathBuf>,
}

impl Faults {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let mut chosen: Vec<Fault> = match self.only.as_slice() {
            [] => Fault::ALL.to_vec(),
            names => names.iter().map(|name| Fault::from_name(name)).collect::<Result<_, _>>()?,
        };
        if self.list {
            for fault in Fault::ALL {
                println!("{:<24}{}", fault.name(), fault.requirement());
            }
            return Ok(Report::new("", HostInfo::collect(Path::new("/"))));
        }
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let sandbox_config = SandboxConfig { speed: self.speed, seed, faults: true };
        let small_disk = chosen.contains(&Fault::DiskFull);
        let cluster_config =
            ClusterConfig { web: 2, workers: 2, lease_s: self.lease, small_disk, sandbox_config };
        let mut cluster = Cluster::start(binary, cluster_config).await?;
        let disk = match (small_disk, cluster.postgres.data_disk()) {
            (false, _) => "",
            (true, Some(_)) => "; PostgreSQL's data on a small disk in memory",
            // A fault that was asked for by name fails, so that it does not look as if it
            // had passed.
            (true, None) if !self.only.is_empty() => "; no disk to fill",
            (true, None) => {
                chosen.retain(|fault| *fault != Fault::DiskFull);
                "; disk-full was not tried: only root can make a disk to fill"
            }
        };
        let mut report = Report::new(
            format!(
                "faults: 2 web nodes, 2 workers, PostgreSQL, RabbitMQ, Redis; 2 batches of {} × 3 \
                 and starts of {} instances at speed {}, lease {} s, seed {seed}{disk}",
                self.products,
                InstanceStarts::COUNT,
                self.speed,
                self.lease
            ),
            HostInfo::collect(cluster.folder()),
        );
        let config = RoundConfig {
            products: self.products,
            lease: Duration::from_secs(self.lease.into()),
            speed: self.speed,
            max_request_delay: Duration::from_millis(self.max_request_delay),
        };
        let mut table = ResultTable::new(&report);
        let numbers = self.round.map_or(0..self.rounds, |number| number..number + 1);
        let rounds = numbers.flat_map(|number| chosen.iter().map(move |f| (number, *f)));
        for (number, fault) in rounds {
            let start = Instant::now();
            let round =
                FaultRound { fault, name: format!("{}{number}", fault.sku_prefix()), config };
            let mut rng = fault.round_rng(seed, u64::try_from(number)?);
            let result = match fault {
                // It has a server of its own, so it and the others don't interfere.
                Fault::DiskFullEmbedded => {
                    embedded_disk_full::run_round(binary, &round.name, &mut rng).await
                }
                _ => round.run(&mut cluster, &mut rng).await,
            };
            let (found, ended) = match result {
                Ok(found) => (found, true),
                Err(error) => {
                    eprintln!("{}", cluster.log_tails(15));
                    (FaultRoundResult::aborted(format!("{error:#}")), false)
                }
            };
            eprintln!(
                "{:<24}{:>6.1} s  {:<6}  --seed {seed} --round {number}  {}",
                fault.name(),
                start.elapsed().as_secs_f64(),
                if found.failed_checks.is_empty() { "passed" } else { "FAILED" },
                found.figures.join("; ")
            );
            for failed_check in &found.failed_checks {
                eprintln!("    {failed_check}");
            }
            table.add(fault, found);
            if !ended {
                // The state of the servers is unknown.
                report.add_check("all rounds", false, "the run ended before all rounds were done");
                break;
            }
        }
        table.add_to_report(&mut report);
        if let Some(path) = self.write {
            std::fs::write(&path, table.markdown())?;
        }
        Ok(report)
    }
}
