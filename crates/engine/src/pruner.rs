//! Periodically deletes data that is past its retention.

use crate::{
    election::LeaderLease,
    store::{Error, PrunedRows, Retention, Store},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time between two rounds.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

/// Runs until `stop`. Only the process that holds `leader_lease` deletes.
pub async fn run(
    store: Store,
    retention: Retention,
    mut leader_lease: LeaderLease,
    stop: CancellationToken,
) {
    loop {
        let round = async {
            let is_leader = leader_lease.is_held().await?;
            if is_leader { store.tasks.prune(retention).await } else { Ok(PrunedRows::default()) }
        };
        let pruned: Result<PrunedRows, Error> = tokio::select! {
            () = stop.cancelled() => break,
            pruned = round => pruned,
        };
        match pruned {
            Ok(pruned) if pruned == PrunedRows::default() => {}
            Ok(PrunedRows { facts, jobs, tasks, others }) => {
                tracing::info!(facts, jobs, tasks, others, "the pruner deleted old data");
            }
            Err(error) => tracing::warn!(%error, "could not delete old data"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PRUNE_INTERVAL) => {}
        }
    }
    leader_lease.release().await;
}
