//! A scenario: all ways side by side, each with services and a ledger of its own.

use crate::{
    run::{Error, Options, elapsed_ms, now_ms},
    trial::Trial,
};
use contract::comparison::{Figures, Scenario, ScenarioProgress, Way};
use futures_util::future::try_join_all;
use std::{
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;

/// Interval of the reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// The moment at which all ways launch.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// By the clock that only advances.
    pub instant: Instant,
    /// By the clock of the ledger, UTC ms.
    pub at_ms: u64,
}

/// Runs a scenario in `folder`, and reports how far it is.
///
/// # Errors
/// A way can't be started or measured, or `report` fails.
pub async fn run(
    options: &Options,
    scenario: Scenario,
    folder: &Path,
    mut report: impl FnMut(&ScenarioProgress) -> Result<(), Error>,
) -> Result<Vec<Figures>, Error> {
    let prepare = |way: &Way| Trial::prepare(options, scenario, *way, folder);
    let prepared = try_join_all(Way::ALL.iter().map(prepare)).await?;
    let (trials, servers): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
    let start = Start { instant: Instant::now(), at_ms: now_ms() };
    let progress = || ScenarioProgress {
        scenario,
        elapsed_ms: elapsed_ms(start.instant),
        ways: trials.iter().map(Trial::progress).collect(),
    };
    let runs = trials.iter().zip(servers).map(|(trial, server)| trial.run(server, start));
    // In a block of its own: the services are stopped when nothing refers to them any more.
    let figures = {
        let mut runs = pin!(try_join_all(runs));
        let mut ticks = tokio::time::interval(REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                figures = &mut runs => break figures?,
                _ = ticks.tick() => report(&progress())?,
            }
        }
    };
    for trial in trials {
        trial.close().await;
    }
    Ok(figures)
}
