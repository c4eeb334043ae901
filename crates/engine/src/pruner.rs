//! Deletes what is not kept for ever, now and then.

use crate::store::{Pruned, Retention, Store};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3600);

/// Runs until `stop`; several processes at once do each other no harm.
pub async fn run(store: Store, keep: Retention, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            pruned = store.prune(keep) => match pruned {
                Ok(pruned) if pruned == Pruned::default() => {}
                Ok(Pruned { facts, jobs, tasks, others }) => {
                    tracing::info!(facts, jobs, tasks, others, "deleted what was too old");
                }
                Err(error) => tracing::warn!(%error, "could not delete what is too old"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
