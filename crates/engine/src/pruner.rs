//! Deletes what is not kept for ever, now and then.

use crate::{
    election::Seat,
    store::{Error, Pruned, Retention, Store},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3600);

/// Runs until `stop`; of several processes the one that holds `seat` deletes.
pub async fn run(store: Store, keep: Retention, mut seat: Seat, stop: CancellationToken) {
    loop {
        let round = async {
            let held = seat.is_held().await?;
            if held { store.prune(keep).await } else { Ok(Pruned::default()) }
        };
        let pruned: Result<Pruned, Error> = tokio::select! {
            () = stop.cancelled() => break,
            pruned = round => pruned,
        };
        match pruned {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(Pruned { facts, jobs, tasks, others }) => {
                tracing::info!(facts, jobs, tasks, others, "deleted what was too old");
            }
            Err(error) => tracing::warn!(%error, "could not delete what is too old"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    seat.leave().await;
}
