//! Command-line flags; each has an environment variable.

mod aws;
mod backend_url;
mod compare;

pub use self::compare::{CompareOptions, DEFAULT_SPEED as DEFAULT_COMPARISON_SPEED};
pub use aws::{AwsAccount, AwsConfig, AwsConfigError, AwsRates};
pub use backend_url::{BrokerUrl, DatabaseUrl, LimiterUrl, SandboxUrl};

use crate::redact::Secret;
use backend_url::SecretParser;
use clap::{
    Parser, Subcommand,
    builder::{RangedU64ValueParser, TypedValueParser},
};
use cli::ClientCommand;
use engine::store::{DEFAULT_OPEN_LIMITS, OpenLimits, Retention};
use ingress::client_address::parse_network;
use ipnet::IpNet;
use std::{io, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

/// Launch long-running work from the browser, get on with your day, and see
/// what happened to every item.
#[derive(Clone, Debug, Parser)]
#[command(name = "meanwhile", version)]
pub struct Config {
    #[command(subcommand)]
    pub role: Option<ProcessRole>,
    /// Address on which pages, the API and WebSockets are served.
    #[arg(long, env = "MEANWHILE_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// Folder of the SQLite database and the sandbox's ledger.
    #[arg(long, env = "MEANWHILE_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// `sqlite://path` or `postgres://user:password@host:port/name?sslmode=verify-full`.
    /// Default: a SQLite file in the data folder.
    #[arg(long, env = "MEANWHILE_DATABASE", hide_env_values = true,
          value_parser = SecretParser::<DatabaseUrl>::default())]
    pub database: Option<DatabaseUrl>,
    /// Message broker: `embedded:`, or `amqps://user:password@host:port/vhost` for
    /// RabbitMQ; `amqp://` without encryption.
    #[arg(long, env = "MEANWHILE_BROKER", default_value = "embedded:", hide_env_values = true,
          value_parser = SecretParser::<BrokerUrl>::default())]
    pub broker: BrokerUrl,
    /// Rate limiter: `embedded:`, or `rediss://user:password@host:port/database` for
    /// Redis; `redis://` without encryption.
    #[arg(long, env = "MEANWHILE_LIMITER", default_value = "embedded:", hide_env_values = true,
          value_parser = SecretParser::<LimiterUrl>::default())]
    pub limiter: LimiterUrl,
    /// TOML file with the accounts of AWS whose machines are used. Without it there are the
    /// machines of the sandbox.
    #[arg(long, env = "MEANWHILE_AWS", value_name = "FILE", value_parser = AwsConfig::read)]
    pub aws: Option<AwsConfig>,
    /// Folder with the files of the sales channels, one `*.toml` each. Without it, products
    /// go to the channels of the sandbox.
    #[arg(long, env = "MEANWHILE_CHANNELS")]
    pub channels: Option<PathBuf>,
    /// Time after which the task of a worker that no longer renews its lease is
    /// taken back, in seconds. A call may take half of it.
    #[arg(long = "lease-s", value_name = "SECONDS", env = "MEANWHILE_LEASE_S", default_value = "60",
          value_parser = seconds(3..=3600))]
    pub lease: Duration,
    /// URL at which browsers reach the server; repeatable. Requests with another
    /// Origin or Host are rejected.
    #[arg(long, env = "MEANWHILE_PUBLIC_URL", value_delimiter = ',')]
    pub public_url: Vec<String>,
    /// Address or network of a proxy whose X-Forwarded-For is trusted;
    /// repeatable.
    #[arg(long, env = "MEANWHILE_TRUSTED_PROXY", value_delimiter = ',', value_parser = parse_network)]
    pub trusted_proxy: Vec<IpNet>,
    /// Address on which `GET /metrics` is served for Prometheus without
    /// authentication, such as 127.0.0.1:9100. Without this flag, metrics are
    /// served beside the pages and require an admin's token.
    #[arg(long, env = "MEANWHILE_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// Time for which a request body may stall before it is answered with 408,
    /// in seconds.
    #[arg(long = "request-body-timeout-s", value_name = "SECONDS", default_value = "20",
          env = "MEANWHILE_REQUEST_BODY_TIMEOUT_S", value_parser = seconds(1..=600))]
    pub request_body_timeout: Duration,
    /// Time for which a client may read nothing of a response or a WebSocket
    /// before its connection is closed, in seconds.
    #[arg(long = "response-write-timeout-s", value_name = "SECONDS", default_value = "20",
          env = "MEANWHILE_RESPONSE_WRITE_TIMEOUT_S", value_parser = seconds(1..=600))]
    pub response_write_timeout: Duration,
    #[command(flatten)]
    pub open_limits: OpenLimitOptions,
    #[command(flatten)]
    pub retention: RetentionPeriods,
    /// Email address of the first account, which is created if there is none.
    #[arg(long, env = "MEANWHILE_ADMIN_EMAIL")]
    pub admin_email: Option<String>,
    /// Password of the first account.
    #[arg(long, env = "MEANWHILE_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,
    #[command(flatten)]
    pub sandbox: SandboxOptions,
    /// Accepts and runs tasks that do nothing, for benchmarks. Set it in every
    /// process or in none. Hidden from `--help`, as it has no other use.
    #[arg(long, env = "MEANWHILE_NOOPS", hide = true)]
    pub noops: bool,
}

/// Limits on the unfinished work of one user. A launch beyond them is answered
/// with 429.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct OpenLimitOptions {
    /// Maximum number of unfinished items of one user.
    #[arg(long, env = "MEANWHILE_MAX_OPEN_ITEMS", default_value_t = DEFAULT_OPEN_LIMITS.tasks,
          value_parser = clap::value_parser!(i64).range(1..))]
    pub max_open_items: i64,
    /// Maximum number of unfinished jobs of one user.
    #[arg(long, env = "MEANWHILE_MAX_OPEN_JOBS", default_value_t = DEFAULT_OPEN_LIMITS.jobs,
          value_parser = clap::value_parser!(i64).range(1..))]
    pub max_open_jobs: i64,
}

impl From<OpenLimitOptions> for OpenLimits {
    fn from(options: OpenLimitOptions) -> Self {
        Self { tasks: options.max_open_items, jobs: options.max_open_jobs }
    }
}

/// Retention of finished work.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct RetentionPeriods {
    /// Days for which the journal is kept. A page that was offline for longer
    /// reloads.
    #[arg(long, env = "MEANWHILE_JOURNAL_RETENTION_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub journal_retention_days: u16,
    /// Days for which a job and its items are kept after it has finished.
    #[arg(long, env = "MEANWHILE_JOB_RETENTION_DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub job_retention_days: u16,
}

impl From<RetentionPeriods> for Retention {
    fn from(periods: RetentionPeriods) -> Self {
        Self::days(periods.journal_retention_days, periods.job_retention_days)
    }
}

/// Part of the system that a process runs, or what it does instead; without a role it runs all
/// of the system.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ProcessRole {
    /// Serve pages, the API and WebSockets only; workers run elsewhere.
    Serve,
    /// Run workers only; pages are served elsewhere.
    Work,
    /// Run only the sandbox, which simulates the external services.
    Sandbox,
    /// Check whether the server at the listen address is ready; exit code 0 if it is.
    Ready,
    /// Work with the files of the sales channels.
    #[command(subcommand)]
    Channels(ChannelsCommand),
    /// Commands that use the API of a running server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
    /// Compare three ways to run a batch on the sandbox, measured: synchronous, asynchronous
    /// without a broker, and by events. Touches nothing of this installation.
    Compare(CompareOptions),
}

/// What to do with the files of the sales channels.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ChannelsCommand {
    /// Check the files in the folder of the channels, then call each service once, with a
    /// request that changes nothing. Exit code 0 if everything is right.
    Check {
        /// Check this channel only: the name of its file without .toml.
        name: Option<String>,
    },
}

/// Options of the sandbox, which simulates the external services.
#[derive(Clone, Debug, clap::Args)]
pub struct SandboxOptions {
    /// URL of a running sandbox that several processes share, such as
    /// http://127.0.0.1:9000. Without it, the process starts its own.
    #[arg(long, env = "MEANWHILE_SANDBOX_URL", hide_env_values = true,
          value_parser = SecretParser::<SandboxUrl>::default())]
    pub sandbox_url: Option<SandboxUrl>,
    /// Address on which the sandbox listens.
    #[arg(long, env = "MEANWHILE_SANDBOX_LISTEN", default_value = "127.0.0.1:0")]
    pub sandbox_listen: SocketAddr,
    /// Factor that divides latencies and multiplies rate limits.
    #[arg(long, env = "MEANWHILE_SANDBOX_SPEED", default_value_t = 1.0,
          value_parser = parse_speed)]
    pub sandbox_speed: f64,
    /// Seed of the random latencies and faults.
    #[arg(long, env = "MEANWHILE_SANDBOX_SEED", default_value_t = 1)]
    pub sandbox_seed: u64,
    /// Whether the sandbox injects faults.
    #[arg(long, env = "MEANWHILE_SANDBOX_FAULTS", default_value_t = true,
          action = clap::ArgAction::Set)]
    pub sandbox_faults: bool,
    /// Latency of a product upload at speed 1, in seconds. Default: each
    /// channel's own latency.
    #[arg(long = "sandbox-latency-s", value_name = "SECONDS", env = "MEANWHILE_SANDBOX_LATENCY_S",
          value_parser = parse_fractional_seconds)]
    pub sandbox_latency: Option<Duration>,
}

impl Config {
    /// Returns the URL of the database: the configured one, or that of the SQLite file
    /// in the data folder.
    ///
    /// # Errors
    /// The data folder is relative, and the current folder is unknown.
    pub fn database_url(&self) -> io::Result<DatabaseUrl> {
        match &self.database {
            Some(url) => Ok(url.clone()),
            None => DatabaseUrl::in_data_folder(&self.data),
        }
    }
}

/// Returns the parser of a whole number of seconds.
fn seconds(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = Duration> {
    RangedU64ValueParser::<u64>::new().range(range).map(Duration::from_secs)
}

fn parse_fractional_seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) => Err("must be between 0 and 3600 seconds"),
        Err(_) => Err("must be a number of seconds"),
    }
}

fn parse_speed(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(speed) if (0.001..=1_000_000.0).contains(&speed) => Ok(speed),
        _ => Err("must be a number between 0.001 and 1000000"),
    }
}
