//! Takes back what a lost worker held, and publishes anew what a broker lost.

use crate::{
    broker::{Broker, News},
    election::Seat,
    relay::{Bell, Queue},
    store::Store,
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Rounds of one lease: one that ran out is noticed a twelfth of it later.
const ROUNDS: u32 = 12;

/// Runs until `stop`; of several processes the one that holds `seat` reaps.
pub async fn run(
    store: Store,
    broker: Arc<dyn Broker>,
    queues: Vec<Queue>,
    bell: Bell,
    mut seat: Seat,
    stop: CancellationToken,
) {
    let lease = Duration::from_millis(u64::try_from(store.lease_ms()).unwrap_or_default());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(lease / ROUNDS) => {}
        }
        let round = async {
            store.follow_clock().await?;
            if seat.is_held().await? {
                round(&store, broker.as_ref(), &queues, &bell).await?;
            }
            Ok::<_, crate::store::Error>(())
        };
        if let Err(error) = round.await {
            tracing::warn!(%error, "could not take back lost work");
        }
    }
    seat.leave().await;
}

async fn round(
    store: &Store,
    broker: &dyn Broker,
    queues: &[Queue],
    bell: &Bell,
) -> Result<(), crate::store::Error> {
    for news in store.reap(false).await? {
        metrics::counter!("meanwhile_reaped_total").increment(1);
        broker.announce(News::Facts(news));
        bell.ring();
    }
    for queue in queues {
        let reached = match broker.depth(&queue.name).await {
            Ok(depth) => depth.ready == 0 || depth.consumers > 0,
            // The relay says so already; this is asked again soon.
            Err(_) => continue,
        };
        // A message that was published two leases ago would have been claimed
        // or put off by now, were it still on its way to a consumer.
        let lost = store.now_ms() - 2 * store.lease_ms();
        if !reached {
            continue;
        }
        let unpublished = store.unpublish(&queue.name, lost).await?;
        if unpublished > 0 {
            metrics::counter!("meanwhile_unpublished_total", "queue" => queue.name.clone())
                .increment(unpublished);
            bell.ring();
        }
    }
    Ok(())
}
