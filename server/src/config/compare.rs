//! Options of `meanwhile compare`.

use clap::{Args, ValueEnum};
use compare::serve::ServedWay;

/// Speed of the sandbox at which the synchronous way takes about half a minute, and all scenarios
/// less than two minutes.
pub const DEFAULT_SPEED: u32 = 6;

/// Options of `meanwhile compare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct CompareOptions {
    /// Print JSON lines: the progress, and the figures last.
    #[arg(long)]
    pub json: bool,
    /// Factor that divides the latencies of the services and multiplies their rate limits.
    #[arg(long, default_value_t = DEFAULT_SPEED, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
    /// Products of a batch.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(2..=99))]
    pub products: u32,
    /// Serves one of the simpler ways. The comparison itself starts such processes.
    #[arg(long, hide = true)]
    pub serve: Option<Serve>,
}

/// Way whose server `--serve` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Serve {
    Synchronous,
    Asynchronous,
}

impl From<Serve> for ServedWay {
    fn from(way: Serve) -> Self {
        match way {
            Serve::Synchronous => Self::Synchronous,
            Serve::Asynchronous => Self::Asynchronous,
        }
    }
}
