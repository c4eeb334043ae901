//! The start of instances that runs beside the batches: a chain, because each
//! running instance gets an alarm.

use super::launch::retry_across_nodes;
use crate::{
    audit::instances::{InstanceKind, LedgerPosition, check_instance_starts, expected_task_count},
    report::Report,
};
use anyhow::ensure;
use contract::JobId;
use rand::{RngExt, rngs::StdRng};
use std::time::{Duration, Instant};
use testbed::ApiClient;
use tokio::time::sleep;

/// The sandbox's instances, except the one whose outcome depends on the number of
/// earlier calls.
const INSTANCES: [(&str, InstanceKind); 7] = [
    ("i-0a1b2c3d4e5f60001", InstanceKind::Running),
    ("i-0a1b2c3d4e5f60002", InstanceKind::Stopped),
    ("i-0a1b2c3d4e5f60003", InstanceKind::Stopped),
    ("i-0a1b2c3d4e5f60004", InstanceKind::Stopped),
    ("i-0a1b2c3d4e5f60005", InstanceKind::Stopped),
    ("i-0a1b2c3d4e5f60006", InstanceKind::Stopped),
    ("i-0a1b2c3d4e5f60008", InstanceKind::Forbidden),
];
/// Ends of the chain's steps (start calls, boot, alarms), in s after the launch at
/// speed 1.
const STEP_ENDS_S: [f64; 3] = [3.0, 25.0, 40.0];
/// Well over the time of a boot and a stop at speed 1.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// Keeps polling well under EC2's limit at any speed from 1.
const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// A start of all [`INSTANCES`].
pub struct InstanceStarts {
    pub job: JobId,
    ledger_before: LedgerPosition,
}

impl InstanceStarts {
    pub const COUNT: usize = INSTANCES.len();

    /// Launches the start, and repeats it with the same key until it is accepted.
    pub async fn launch(
        apis: &[ApiClient],
        key: &str,
        ledger_before: LedgerPosition,
    ) -> anyhow::Result<Self> {
        let ids = INSTANCES.map(|(id, _)| id);
        let send_launch = |api: ApiClient| async move { api.start_instances(&ids, key).await };
        let job = retry_across_nodes(apis, send_launch).await?;
        Ok(Self { job: job.id, ledger_before })
    }

    /// Returns the time from the launch to the fault, so that each step meets
    /// equally many faults.
    pub fn lead_time(rng: &mut StdRng, speed: f64) -> Duration {
        let step = rng.random_range(0..STEP_ENDS_S.len());
        let from = step.checked_sub(1).map_or(0.0, |before| STEP_ENDS_S[before]);
        Duration::from_secs_f64(rng.random_range(from..STEP_ENDS_S[step]) / speed)
    }

    /// Returns the number of start and alarm tasks.
    pub fn expected_task_count() -> usize {
        expected_task_count(&INSTANCES)
    }

    /// Checks the job after it has finished.
    pub async fn check(&self, api: &ApiClient, report: &mut Report) -> anyhow::Result<()> {
        check_instance_starts(api, self.job, &INSTANCES, self.ledger_before, report).await
    }
}

/// Stops the instances that earlier rounds have started, and waits until they have
/// stopped.
pub async fn stop_all(api: &ApiClient) -> anyhow::Result<LedgerPosition> {
    let start = Instant::now();
    loop {
        let states = api.instance_states().await?;
        let ids_in_state = |state: &str| {
            let stop = INSTANCES.iter().filter(|(_, kind)| *kind == InstanceKind::Stopped);
            let matching =
                stop.filter(|(id, _)| states.get(*id).is_some_and(|other| other == state));
            matching.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let running = ids_in_state("running");
        if !running.is_empty() {
            api.stop_instances(&running).await?;
        } else if ids_in_state("pending").is_empty() && ids_in_state("stopping").is_empty() {
            return LedgerPosition::current(api).await;
        }
        ensure!(start.elapsed() < STOP_TIMEOUT, "the instances don't stop: {states:?}");
        sleep(POLL_INTERVAL).await;
    }
}
