//! All scenarios one after the other, in a folder that is removed at the end.

use crate::{BuildClientError, batch, report, scenario};
use contract::comparison::{Comparison, ComparisonLine, Scenario, ScenarioProgress, Way};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Time limit for removing the folder, into which a killed process may have written last.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of a comparison.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary `meanwhile`, which is started as the servers.
    pub binary: PathBuf,
    /// Speed of the services.
    pub speed: u32,
    /// Products of a batch.
    pub products: u32,
    /// Whether JSON lines are printed, instead of words.
    pub json: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A signal ended the comparison.
    #[error("the comparison was interrupted; its processes have been ended")]
    Interrupted,
    /// The temporary folder can't be used.
    #[error("no temporary folder can be made or removed: {0}")]
    Folder(io::Error),
    /// The progress can't be written, because nobody reads it any more.
    #[error("the output can't be written: {0}")]
    Output(io::Error),
    /// No HTTP client can be made.
    #[error(transparent)]
    Client(#[from] BuildClientError),
    /// The services can't be started.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// A server can't be started.
    #[error("the server of the way {:?} does not start: {why}", .way.name())]
    Server {
        /// The way.
        way: Way,
        /// End of its log, or the error of the operating system.
        why: String,
    },
    /// A server can't be killed.
    #[error("a server can't be killed: {0}")]
    Kill(io::Error),
    /// A server does not answer as it should.
    #[error("the server of the way {:?} does not answer as it should: {source}", .way.name())]
    Answer {
        /// The way.
        way: Way,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// A scenario takes too long.
    #[error("the way {:?} has not come to an end in {:?}", .way.name(), .scenario.name())]
    Timeout {
        /// The way.
        way: Way,
        /// The scenario.
        scenario: Scenario,
    },
}

impl Error {
    /// Returns the error of a request to the server of a way. Each request has the time limit of
    /// a wait, so that one that takes longer means the same.
    pub(crate) fn from_request(way: Way, scenario: Scenario, source: reqwest::Error) -> Self {
        match source.is_timeout() {
            true => Self::Timeout { way, scenario },
            false => Self::Answer { way, source },
        }
    }
}

/// Runs the comparison, and writes its progress and its result to `output`. Ends its processes
/// and removes its folder, whatever happens; also when SIGINT or SIGTERM arrives.
///
/// # Errors
/// Something can't be started or measured, the output can't be written, or a signal arrived.
pub async fn run(options: &Options, output: &mut impl Write) -> Result<(), Error> {
    let folder = tempfile::Builder::new().prefix("meanwhile-compare-").tempdir();
    let folder = folder.map_err(Error::Folder)?;
    // The future that is not awaited to its end is dropped, and the processes with it.
    let result = tokio::select! {
        result = Box::pin(run_scenarios(options, folder.path(), output)) => result,
        () = interrupted() => Err(Error::Interrupted),
    };
    let removed = remove(folder.path()).await;
    let comparison = result?;
    removed.map_err(Error::Folder)?;
    let written = match options.json {
        true => write_line(output, &ComparisonLine::Result(comparison)),
        false => write!(output, "\n{}", report::result(&comparison)),
    };
    written.and_then(|()| output.flush()).map_err(Error::Output)
}

async fn run_scenarios(
    options: &Options,
    folder: &Path,
    output: &mut impl Write,
) -> Result<Comparison, Error> {
    let started = Instant::now();
    let mut comparison = Comparison {
        started_at: i64::try_from(now_ms()).unwrap_or(i64::MAX),
        took_ms: 0,
        speed: options.speed,
        products: options.products,
        people: u32::try_from(batch::PEOPLE).unwrap_or(u32::MAX),
        figures: Vec::new(),
    };
    if !options.json {
        let _ = writeln!(output, "{}", report::introduction(&comparison));
    }
    for scenario in Scenario::ALL.iter().copied() {
        let mut reporter = Reporter { output: &mut *output, json: options.json, lines: 0 };
        let folder = folder.join(scenario.as_str());
        let report = |progress: &ScenarioProgress| reporter.report(progress);
        comparison.figures.extend(scenario::run(options, scenario, &folder, report).await?);
    }
    comparison.took_ms = elapsed_ms(started);
    Ok(comparison)
}

/// Writes the progress of a scenario.
struct Reporter<'a, W> {
    output: &'a mut W,
    json: bool,
    lines: u32,
}

impl<W: Write> Reporter<'_, W> {
    fn report(&mut self, progress: &ScenarioProgress) -> Result<(), Error> {
        /// Number of reports of which one is printed.
        const WORDS_EVERY: u32 = 8;
        let lines = self.lines;
        self.lines += 1;
        let written = match self.json {
            true => write_line(self.output, &ComparisonLine::Progress(progress.clone())),
            false if !lines.is_multiple_of(WORDS_EVERY) => return Ok(()),
            false => {
                let heading = (lines == 0).then(|| format!("\n{}\n", progress.scenario.name()));
                let heading = heading.unwrap_or_default();
                writeln!(self.output, "{heading}{}", report::progress(progress))
            }
        };
        written.and_then(|()| self.output.flush()).map_err(Error::Output)
    }
}

fn write_line(output: &mut impl Write, line: &ComparisonLine) -> io::Result<()> {
    let line = serde_json::to_string(line)?;
    writeln!(output, "{line}")
}

/// Removes the folder. A process that was just killed may still be writing into it.
async fn remove(folder: &Path) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match std::fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if started.elapsed() > REMOVAL_TIMEOUT => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Returns when SIGINT or SIGTERM has arrived.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Returns the time of this machine, UTC ms, which is also that of the ledger.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the milliseconds since `started`.
pub(crate) fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
