//! The start of machines that runs beside the batches: a chain, for each
//! that runs is given its alarm.

use super::launch::repeated;
use crate::{
    api::Api,
    audit::machines::{Kind, Mark, started, steps},
    report::Report,
};
use anyhow::ensure;
use contract::JobId;
use rand::{RngExt, rngs::StdRng};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Those of the sandbox, but the one whose ends depend on how often it was
/// asked before.
const MACHINES: [(&str, Kind); 7] = [
    ("i-0a1b2c3d4e5f60001", Kind::Running),
    ("i-0a1b2c3d4e5f60002", Kind::Stopped),
    ("i-0a1b2c3d4e5f60003", Kind::Stopped),
    ("i-0a1b2c3d4e5f60004", Kind::Stopped),
    ("i-0a1b2c3d4e5f60005", Kind::Stopped),
    ("i-0a1b2c3d4e5f60006", Kind::Stopped),
    ("i-0a1b2c3d4e5f60008", Kind::Forbidden),
];
/// The steps of the chain: machines are asked to start, boot, and are given
/// their alarms. Until when each is under way, s after the launch at speed 1.
const STEPS: [f64; 3] = [3.0, 25.0, 40.0];
/// Well over a boot and a stop at speed 1.
const STOPPED: Duration = Duration::from_secs(120);
/// Well under the account's limit at any speed from 1.
const LOOK: Duration = Duration::from_millis(400);

/// A start of all of them.
pub struct Machines {
    pub job: JobId,
    since: Mark,
}

impl Machines {
    pub const COUNT: usize = MACHINES.len();

    /// A client that repeats its launch with the same key until it is
    /// accepted.
    pub async fn launch(apis: &[Api], key: &str, since: Mark) -> anyhow::Result<Self> {
        let ids = MACHINES.map(|(id, _)| id);
        let ask = |api: Api| async move { api.start_machines(&ids, key).await };
        let job = repeated(apis, ask).await?;
        Ok(Self { job: job.id, since })
    }

    /// How long before a fault the launch comes, so that each step meets as
    /// many faults.
    pub fn lead(dice: &mut StdRng, speed: f64) -> Duration {
        let step = dice.random_range(0..STEPS.len());
        let from = step.checked_sub(1).map_or(0.0, |before| STEPS[before]);
        Duration::from_secs_f64(dice.random_range(from..STEPS[step]) / speed)
    }

    /// Starts and alarms.
    pub fn steps() -> usize {
        steps(&MACHINES)
    }

    /// What must hold when the job has ended.
    pub async fn check(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        started(api, self.job, &MACHINES, self.since, report).await
    }
}

/// Has EC2 stop what earlier rounds have started, and waits for it.
pub async fn stopped(api: &Api) -> anyhow::Result<Mark> {
    let start = Instant::now();
    loop {
        let states = api.machine_states().await?;
        let those = |state: &str| {
            let stop = MACHINES.iter().filter(|(_, kind)| *kind == Kind::Stopped);
            let there = stop.filter(|(id, _)| states.get(*id).is_some_and(|other| other == state));
            there.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let running = those("running");
        if !running.is_empty() {
            api.stop_machines(&running).await?;
        } else if those("pending").is_empty() && those("stopping").is_empty() {
            return Mark::now(api).await;
        }
        ensure!(start.elapsed() < STOPPED, "the machines don't stop: {states:?}");
        sleep(LOOK).await;
    }
}
