//! The whole as several processes on real servers, and everything that may
//! fail under it: one fault a round, while two batches and a start of machines
//! are under way and two clients listen.
//!
//! | module | what |
//! | --- | --- |
//! | [`fault`] | what may fail, what is required, the dice of a round |
//! | [`round`] | launch, fault, end, and what must hold |
//! | [`scene`] | what a fault is given, and the jobs that it leaves behind |
//! | [`launch`] | the batches, and kills of web nodes in their launch |
//! | [`machines`] | the start of machines: before, in and after its round |
//! | [`embedded`] | the full disk of one process with SQLite |
//! | [`happen`] | every other fault, and its mending |
//! | [`listen`] | a client whose connection is cut |
//! | [`kept`] | what is asked of items and attempts |
//! | [`table`] | what all rounds found |

mod embedded;
mod fault;
mod happen;
mod kept;
mod launch;
mod listen;
mod machines;
mod round;
mod scene;
mod table;

use crate::{
    cluster::{Cluster, Size},
    machine::Machine,
    process::Outside,
    report::Report,
};
use fault::Fault;
use machines::Machines;
use round::{Found, Round, Setting};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use table::Table;

#[derive(clap::Args)]
pub struct Faults {
    /// Rounds of each fault.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// This round of each fault alone, counted from 0: with the seed it has
    /// the same moments again.
    #[arg(long)]
    round: Option<usize>,
    /// Some faults only, by name; see the list with `--list`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Names the faults and ends.
    #[arg(long)]
    list: bool,
    /// Of each of the two batches.
    #[arg(long, default_value_t = 40)]
    products: usize,
    #[arg(long, default_value_t = 5.0)]
    speed: f64,
    /// How long a worker may be silent, s. Half of it is a call's limit, which
    /// must be well over the slowest channel's latency (10 s by the speed).
    #[arg(long, default_value_t = 8)]
    lease: u32,
    /// What a busy machine may hold up a request on its way to a channel, ms;
    /// without it a channel's own count is the measure.
    #[arg(long, default_value_t = 0)]
    held_up: u64,
    /// Of the moments and the sandbox's faults; random without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the table to this file.
    #[arg(long)]
    write: Option<PathBuf>,
}

impl Faults {
    pub async fn run(self, binary: &Path) -> anyhow::Result<Report> {
        let mut chosen: Vec<Fault> = match self.only.as_slice() {
            [] => Fault::ALL.to_vec(),
            names => names.iter().map(|name| Fault::named(name)).collect::<Result<_, _>>()?,
        };
        if self.list {
            for fault in Fault::ALL {
                println!("{:<24}{}", fault.name(), fault.required());
            }
            return Ok(Report::new("", Machine::of(Path::new("/"))));
        }
        let seed = self.seed.unwrap_or_else(rand::random);
        eprintln!("seed {seed}");
        let outside = Outside { speed: self.speed, seed, faults: true };
        let small_disk = chosen.contains(&Fault::DiskFull);
        let size = Size { web: 2, workers: 2, lease_s: self.lease, small_disk, outside };
        let mut cluster = Cluster::start(binary, size).await?;
        let disk = match (small_disk, cluster.postgres.disk()) {
            (false, _) => "",
            (true, Some(_)) => "; PostgreSQL's data on a small disk in memory",
            // Named, it fails: what was left out would look like what held.
            (true, None) if !self.only.is_empty() => "; no disk to fill",
            (true, None) => {
                chosen.retain(|fault| *fault != Fault::DiskFull);
                "; disk-full was not tried: only root can make a disk to fill"
            }
        };
        let mut report = Report::new(
            format!(
                "faults: 2 web nodes, 2 workers, PostgreSQL, RabbitMQ, Redis; 2 batches of {} × 3 \
                 and starts of {} machines at speed {}, lease {} s, seed {seed}{disk}",
                self.products,
                Machines::COUNT,
                self.speed,
                self.lease
            ),
            Machine::of(cluster.folder()),
        );
        let setting = Setting {
            products: self.products,
            lease: Duration::from_secs(self.lease.into()),
            speed: self.speed,
            held_up: Duration::from_millis(self.held_up),
        };
        let mut table = Table::new(&report);
        let numbers = self.round.map_or(0..self.rounds, |number| number..number + 1);
        let rounds = numbers.flat_map(|number| chosen.iter().map(move |f| (number, *f)));
        for (number, fault) in rounds {
            let start = Instant::now();
            let round = Round { fault, name: format!("{}{number}", fault.prefix()), setting };
            let mut dice = fault.dice(seed, u64::try_from(number)?);
            let result = match fault {
                // Nothing of the others is in its way, nor is it in theirs.
                Fault::DiskFullEmbedded => embedded::round(binary, &round.name, &mut dice).await,
                _ => round.run(&mut cluster, &mut dice).await,
            };
            let (found, ended) = match result {
                Ok(found) => (found, true),
                Err(error) => {
                    eprintln!("{}", cluster.logs(15));
                    (Found::stopped(format!("{error:#}")), false)
                }
            };
            eprintln!(
                "{:<24}{:>6.1} s  {:<6}  --seed {seed} --round {number}  {}",
                fault.name(),
                start.elapsed().as_secs_f64(),
                if found.broken.is_empty() { "holds" } else { "BROKEN" },
                found.figures.join("; ")
            );
            for broken in &found.broken {
                eprintln!("    {broken}");
            }
            table.add(fault, found);
            if !ended {
                // Nobody knows in which state it left the servers.
                report.check("all rounds", false, "the run ended before them");
                break;
            }
        }
        table.tell(&mut report);
        if let Some(path) = self.write {
            std::fs::write(&path, table.markdown())?;
        }
        Ok(report)
    }
}
