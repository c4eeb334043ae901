//! Subcommands of `meanwhile` that use the API, and their options.

use clap::{Args, Subcommand, builder::PossibleValuesParser, value_parser};
use clap_complete::Shell;
use contract::{
    JobId, TaskId, TokenId,
    api::RetryState,
    feed::{ColumnMapping, DecimalSeparator, DraftChoice, Encoding, PriceChoice, ZeroPriceChoice},
    state::JobState,
};
use std::path::PathBuf;

/// What the exit codes mean, at the end of each subcommand's help.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    everything succeeded, or the job was launched and is not watched
  1    the job ended, and something in it did not succeed
  2    the command line, the profile or the file can't be used
  3    the server can't be reached, or refused the request
  130  Ctrl-C while watching; the job goes on";

/// Subcommands that talk to a server as its user.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ClientCommand {
    /// Upload the products of a file to sales channels.
    #[command(after_help = EXIT_CODES)]
    Upload(UploadArguments),
    /// Start EC2 machines.
    #[command(after_help = EXIT_CODES)]
    Start(StartArguments),
    /// List your jobs, the newest first.
    #[command(after_help = EXIT_CODES)]
    Jobs(JobsArguments),
    /// Show a job, or watch it to its end.
    #[command(after_help = EXIT_CODES)]
    Job(JobArguments),
    /// Cancel a job: what has not begun is cancelled, and what may have had an effect is
    /// checked first.
    #[command(after_help = EXIT_CODES)]
    Cancel(JobArguments),
    /// Run a job's failed or cancelled items again.
    #[command(after_help = EXIT_CODES)]
    Retry(RetryArguments),
    /// List a job's items that are not done, and why.
    #[command(after_help = EXIT_CODES)]
    Failures(FailuresArguments),
    /// Print what happens to your jobs, as it happens.
    #[command(after_help = EXIT_CODES)]
    Events(EventsArguments),
    /// List and revoke API tokens.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Save the URL and the token of a server as a profile, after checking them.
    #[command(after_help = EXIT_CODES)]
    Login(LoginArguments),
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

impl ClientCommand {
    /// Whether the output is JSON.
    pub fn prints_json(&self) -> bool {
        match self {
            Self::Upload(arguments) => arguments.client.json,
            Self::Start(arguments) => arguments.client.json,
            Self::Jobs(arguments) => arguments.client.json,
            Self::Job(arguments) | Self::Cancel(arguments) => arguments.client.json,
            Self::Retry(arguments) => arguments.client.json,
            Self::Failures(arguments) => arguments.client.json,
            Self::Events(arguments) => arguments.client.json,
            Self::Tokens(command) => command.client().json,
            Self::Login(_) | Self::Completions { .. } => false,
        }
    }
}

/// Options of every command that asks a server.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// Profile that `meanwhile login` has saved. It comes before MEANWHILE_URL and
    /// MEANWHILE_TOKEN; without it and them, the profile `default` is used.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print the API's own JSON: one document, or one line for each event while watching.
    #[arg(long)]
    pub json: bool,
}

/// Options of commands that can watch a job.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// Watch the job to its end. Ctrl-C ends only the watching.
    #[arg(long, short)]
    pub watch: bool,
    /// Time for which a lost connection is tried again while watching, in seconds.
    #[arg(long = "max-offline-s", value_name = "SECONDS", default_value_t = 600)]
    pub max_offline_s: u64,
}

/// Arguments of `meanwhile upload`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct UploadArguments {
    /// File with the products; `-` reads stdin.
    pub file: PathBuf,
    /// Ids of the channels, separated by commas, such as acme,bazaar.
    #[arg(long, value_delimiter = ',', required = true)]
    pub channels: Vec<String>,
    /// Which columns have which fields, such as sku:Artikelnummer,price:VK; #3 is the third
    /// column.
    #[arg(long)]
    pub map: Option<ColumnMapping>,
    /// What separates the decimals of the prices, if no price tells.
    #[arg(long, value_parser = PossibleValuesParser::new(
        DecimalSeparator::ALL.iter().map(|value| value.as_str())))]
    pub decimal: Option<String>,
    /// Which of two prices is sent; the regular one by default.
    #[arg(long, value_parser = PossibleValuesParser::new(
        PriceChoice::ALL.iter().map(|value| value.as_str())))]
    pub price: Option<String>,
    /// What happens to drafts, and to archived, private and unpublished products; they are left
    /// out by default.
    #[arg(long, value_parser = PossibleValuesParser::new(
        DraftChoice::ALL.iter().map(|value| value.as_str())))]
    pub drafts: Option<String>,
    /// What happens to products at 0.00.
    #[arg(long, value_parser = PossibleValuesParser::new(
        ZeroPriceChoice::ALL.iter().map(|value| value.as_str())))]
    pub zero_price: Option<String>,
    /// Sheet of a workbook; the first one by default.
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// Encoding of a text, if it is detected wrongly.
    #[arg(long, value_parser = PossibleValuesParser::new(
        Encoding::ALL.iter().map(|value| value.as_str())))]
    pub encoding: Option<String>,
    /// Leave bad rows out.
    #[arg(long)]
    pub skip_bad: bool,
    /// Say how the file is understood, and launch nothing.
    #[arg(long, conflicts_with = "watch")]
    pub dry_run: bool,
    /// Key with which the same launch sent twice has one effect; random by default.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Arguments of `meanwhile start`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct StartArguments {
    /// Ids of the machines, such as i-0a1b2c3d4e5f60001.
    #[arg(required = true, value_name = "INSTANCE_ID")]
    pub instance_ids: Vec<String>,
    /// Account of machines that are in no list, as the server's configuration names it.
    #[arg(long, requires = "region")]
    pub account: Option<String>,
    /// Region of machines that are in no list.
    #[arg(long, requires = "account")]
    pub region: Option<String>,
    /// Key with which the same launch sent twice has one effect; random by default.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Arguments of `meanwhile jobs`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct JobsArguments {
    /// List only jobs in this state.
    #[arg(long, value_parser = PossibleValuesParser::new(
        JobState::ALL.iter().map(|value| value.as_str())))]
    pub state: Option<String>,
    /// Maximum number of jobs.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=200))]
    pub limit: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Arguments of `meanwhile job` and `meanwhile cancel`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct JobArguments {
    /// Id of the job.
    pub id: JobId,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Arguments of `meanwhile retry`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct RetryArguments {
    /// Id of the job.
    pub id: JobId,
    /// State of the items to run again; failed by default. Rejected items have to be named
    /// with --task.
    #[arg(long, value_parser = PossibleValuesParser::new(
        RetryState::ALL.iter().map(|value| value.as_str())), conflicts_with = "task")]
    pub state: Option<String>,
    /// Run only the items of this channel again.
    #[arg(long)]
    pub channel: Option<String>,
    /// Id of an item to run again; repeatable.
    #[arg(long, value_name = "ID")]
    pub task: Vec<TaskId>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Arguments of `meanwhile failures`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct FailuresArguments {
    /// Id of the job.
    pub id: JobId,
    /// List only items of this channel.
    #[arg(long, conflicts_with = "left_out")]
    pub channel: Option<String>,
    /// List the rows of the file that were left out instead.
    #[arg(long)]
    pub left_out: bool,
    /// Print the rows as a file to correct and upload again: those of failed and rejected
    /// items, or with --left-out those that were left out.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Arguments of `meanwhile events`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct EventsArguments {
    /// Print only events of this job.
    #[arg(long, value_name = "ID")]
    pub job: Option<JobId>,
    /// Begin after the event with this sequence number; without it, with the next one.
    #[arg(long, value_name = "SEQ", value_parser = value_parser!(i64).range(0..))]
    pub after: Option<i64>,
    /// Time for which a lost connection is tried again, in seconds.
    #[arg(long = "max-offline-s", value_name = "SECONDS", default_value_t = 600)]
    pub max_offline_s: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub client: ClientOptions,
}

/// Subcommands of `meanwhile tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum TokensCommand {
    /// List your API tokens.
    #[command(after_help = EXIT_CODES)]
    List(#[command(flatten)] ClientOptions),
    /// Say where a token is created: a token can't create another one.
    #[command(after_help = EXIT_CODES)]
    Create(#[command(flatten)] ClientOptions),
    /// Revoke a token.
    #[command(after_help = EXIT_CODES)]
    Revoke {
        /// Id of the token, as `meanwhile tokens list` prints it.
        id: TokenId,
        #[command(flatten)]
        #[allow(missing_docs)]
        client: ClientOptions,
    },
}

impl TokensCommand {
    /// Returns the options that every command has.
    pub fn client(&self) -> &ClientOptions {
        match self {
            Self::List(client) | Self::Create(client) | Self::Revoke { client, .. } => client,
        }
    }
}

/// Arguments of `meanwhile login`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LoginArguments {
    /// URL of the server, such as https://meanwhile.example.com.
    #[arg(long)]
    pub url: String,
    /// Name of the profile.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
}
