//! Flags and variables; each flag has its variable.

use crate::{client, redact::Secret};
use clap::{Parser, Subcommand};
use engine::store::{MAX_OPEN, MaxOpen, Retention};
use ipnet::IpNet;
use std::{net::SocketAddr, path::PathBuf};

/// Launch long-running work from the browser, get on with your day, and be
/// told what happened to every item.
#[derive(Clone, Debug, Parser)]
#[command(name = "meanwhile", version)]
pub struct Config {
    #[command(subcommand)]
    pub role: Option<Role>,
    /// Where pages, API and sockets are served.
    #[arg(long, env = "MEANWHILE_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// Folder of the database and of the sandbox's ledger.
    #[arg(long, env = "MEANWHILE_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// `sqlite://path` or `postgres://user:password@host:port/name`; without it
    /// a SQLite file in the data folder.
    #[arg(long, env = "MEANWHILE_DATABASE", hide_env_values = true)]
    pub database: Option<Secret>,
    /// `embedded:` or `amqp://user:password@host:port/vhost`.
    #[arg(long, env = "MEANWHILE_BROKER", default_value = "embedded:", hide_env_values = true)]
    pub broker: Secret,
    /// `embedded:` or `redis://user:password@host:port/database`.
    #[arg(long, env = "MEANWHILE_GATE", default_value = "embedded:", hide_env_values = true)]
    pub gate: Secret,
    /// How long a worker may be silent before its work is taken back, s. A
    /// call's limit is half of it.
    #[arg(long, env = "MEANWHILE_LEASE_S", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(3..=3600))]
    pub lease_s: u32,
    /// Where browsers reach it; repeatable. Allow-list for Origin and Host.
    #[arg(long, env = "MEANWHILE_PUBLIC_URL", value_delimiter = ',')]
    pub public_url: Vec<String>,
    /// Address or network of a proxy whose X-Forwarded-For is believed;
    /// repeatable.
    #[arg(long, env = "MEANWHILE_TRUSTED_PROXY", value_delimiter = ',', value_parser = client::network)]
    pub trusted_proxy: Vec<IpNet>,
    /// Where `GET /metrics` is served for Prometheus, to whoever reaches it,
    /// such as 127.0.0.1:9100. Without it an admin's token reads it where
    /// pages are served.
    #[arg(long, env = "MEANWHILE_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// How long a sender may be silent in the middle of a request, s; then it
    /// is answered 408.
    #[arg(long, env = "MEANWHILE_SEND_TIMEOUT_S", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    pub send_timeout_s: u32,
    /// How long a client may take nothing of an answer, or of what a socket
    /// sends, s; then its connection is ended.
    #[arg(long, env = "MEANWHILE_RECEIVE_TIMEOUT_S", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=600))]
    pub receive_timeout_s: u32,
    #[command(flatten)]
    pub most: Most,
    #[command(flatten)]
    pub keep: Keep,
    /// Makes the first account, where there is none.
    #[arg(long, env = "MEANWHILE_ADMIN_EMAIL")]
    pub admin_email: Option<String>,
    #[arg(long, env = "MEANWHILE_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,
    #[command(flatten)]
    pub sandbox: Sandbox,
    /// Accepts and runs tasks that do nothing, to measure the whole: in every
    /// process or in none. Not told by `--help`: nothing to use it for by day.
    #[arg(long, env = "MEANWHILE_NOOPS", hide = true)]
    pub noops: bool,
}

/// What one person may have open at once; past it a launch is answered 429.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Most {
    /// Items that one person may have open.
    #[arg(long, env = "MEANWHILE_MAX_OPEN_ITEMS", default_value_t = MAX_OPEN.tasks,
          value_parser = clap::value_parser!(i64).range(1..))]
    pub max_open_items: i64,
    /// Jobs that one person may have open.
    #[arg(long, env = "MEANWHILE_MAX_OPEN_JOBS", default_value_t = MAX_OPEN.jobs,
          value_parser = clap::value_parser!(i64).range(1..))]
    pub max_open_jobs: i64,
}

impl From<Most> for MaxOpen {
    fn from(most: Most) -> Self {
        Self { tasks: most.max_open_items, jobs: most.max_open_jobs }
    }
}

/// How long what has ended is kept.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Keep {
    /// Days that the journal is kept: a page that was away for longer loads
    /// anew.
    #[arg(long, env = "MEANWHILE_KEEP_JOURNAL_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub keep_journal_days: u16,
    /// Days that a job is kept after its end, with its items.
    #[arg(long, env = "MEANWHILE_KEEP_JOBS_DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub keep_jobs_days: u16,
}

impl From<Keep> for Retention {
    fn from(keep: Keep) -> Self {
        Self::days(keep.keep_journal_days, keep.keep_jobs_days)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Role {
    /// Pages, API and sockets alone; workers run elsewhere.
    Serve,
    /// Workers alone; pages are served elsewhere.
    Work,
    /// The stand-ins of the outside alone.
    Sandbox,
    /// Asks the one that listens here whether it is ready: exit code 0 if so.
    Ready,
}

/// The stand-ins of the outside.
#[derive(Clone, Debug, clap::Args)]
pub struct Sandbox {
    /// Where a sandbox runs already that several processes share, such as
    /// http://127.0.0.1:9000; without it one is started.
    #[arg(long, env = "MEANWHILE_SANDBOX_URL", hide_env_values = true)]
    pub sandbox_url: Option<Secret>,
    #[arg(long, env = "MEANWHILE_SANDBOX_LISTEN", default_value = "127.0.0.1:0")]
    pub sandbox_listen: SocketAddr,
    /// Divides latencies and multiplies limits.
    #[arg(long, env = "MEANWHILE_SANDBOX_SPEED", default_value_t = 1.0)]
    pub sandbox_speed: f64,
    #[arg(long, env = "MEANWHILE_SANDBOX_SEED", default_value_t = 1)]
    pub sandbox_seed: u64,
    /// Whether things go wrong now and then.
    #[arg(long, env = "MEANWHILE_SANDBOX_FAULTS", default_value_t = true,
          action = clap::ArgAction::Set)]
    pub sandbox_faults: bool,
    /// How long a product takes at speed 1, s; without it as long as each
    /// channel's own.
    #[arg(long, env = "MEANWHILE_SANDBOX_LATENCY_S", value_parser = seconds)]
    pub sandbox_latency_s: Option<f64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is a number of seconds".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0 to 3600 s".to_owned()) }
}
