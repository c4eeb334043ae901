//! Takes back what a lost worker held, and publishes anew what a broker lost.

use crate::{
    broker::{Broker, News},
    relay::{Bell, Queue},
    store::Store,
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(5);
/// A message that was published before this and lies in no queue is lost, ms.
const LOST_MS: i64 = 120_000;

/// Runs until `stop`.
pub async fn run(
    store: Store,
    broker: Arc<dyn Broker>,
    queues: Vec<Queue>,
    bell: Bell,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = round(&store, broker.as_ref(), &queues, &bell).await {
            tracing::warn!(%error, "could not take back lost work");
        }
    }
}

async fn round(
    store: &Store,
    broker: &dyn Broker,
    queues: &[Queue],
    bell: &Bell,
) -> Result<(), crate::store::Error> {
    for news in store.reap(false).await? {
        broker.announce(News::Facts(news));
        bell.ring();
    }
    for queue in queues {
        let empty = match broker.ready(&queue.name).await {
            Ok(ready) => ready == 0,
            // The relay says so already; this is asked again soon.
            Err(_) => continue,
        };
        if empty && store.unpublish(&queue.name, store.now_ms() - LOST_MS).await? > 0 {
            bell.ring();
        }
    }
    Ok(())
}
