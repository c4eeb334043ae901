//! The heartbeat by which operators see that a worker runs.

use engine::store::{Store, WorkerIdentity};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Maximum time that a heartbeat waits for an unresponsive database, so that the worker can end.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes a heartbeat at the interval at which leases are renewed, and once `stop` is cancelled.
/// After `drained` the worker is forgotten. Without a database nothing is lost: the worker shows
/// up again with the next heartbeat.
pub async fn run(
    store: Store,
    worker_name: String,
    stop: CancellationToken,
    drained: CancellationToken,
) {
    let worker = WorkerIdentity {
        id: Uuid::now_v7(),
        name: worker_name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let interval = store.database.lease() / 3;
    while !drained.is_cancelled() {
        let draining = stop.is_cancelled();
        let written = store.coordination.record_heartbeat(&worker, draining);
        if !matches!(timeout(WRITE_TIMEOUT, written).await, Ok(Ok(()))) {
            tracing::debug!("could not write the heartbeat of this worker");
        }
        tokio::select! {
            () = drained.cancelled() => {}
            () = stop.cancelled(), if !draining => {}
            () = sleep(interval) => {}
        }
    }
    let forgotten = store.coordination.forget_worker(worker.id);
    if !matches!(timeout(WRITE_TIMEOUT, forgotten).await, Ok(Ok(()))) {
        tracing::debug!("this worker is listed for an hour, because the database does not answer");
    }
}
