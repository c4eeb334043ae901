//! Takes back what a lost worker held, and publishes anew what a broker lost.

use crate::{
    broker::{self, Broker, News},
    election::Seat,
    relay::{self, Bell, Queue},
    store::Store,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
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
    let mut watch = ClockWatch::new(store.now_ms(), lease);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(lease / ROUNDS) => {}
        }
        let round = async {
            if let Some(back_ms) = store.follow_clock().await? {
                tracing::warn!(back_ms, "the database's clock was set back: delays are kept");
                watch.went_back();
            } else if watch.is_settling() {
                // Processes that have not followed yet still wrote.
                store.keep_delays().await?;
            }
            let leases_hold = watch.look(store.now_ms());
            if seat.is_held().await? {
                round(&store, broker.as_ref(), &queues, &bell, leases_hold).await?;
            }
            Ok::<_, crate::store::Error>(())
        };
        if let Err(error) = round.await {
            tracing::warn!(%error, "could not take back lost work");
        }
    }
    seat.leave().await;
}

/// Sees by a clock that nobody can set when the database's is set.
struct ClockWatch {
    seen: (Instant, i64),
    lease: Duration,
    /// A clock that went forward made every lease run out at once: until here
    /// their holders have time to renew them.
    held_until: Option<Instant>,
    settles_until: Option<Instant>,
}

impl ClockWatch {
    fn new(now_ms: i64, lease: Duration) -> Self {
        let seen = (Instant::now(), now_ms);
        Self { seen, lease, held_until: None, settles_until: None }
    }

    fn went_back(&mut self) {
        self.settles_until = Some(Instant::now() + 2 * self.lease);
    }

    fn is_settling(&self) -> bool {
        self.settles_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether a lease that has run out by `now_ms` was really not renewed.
    fn look(&mut self, now_ms: i64) -> bool {
        let (at, before) = std::mem::replace(&mut self.seen, (Instant::now(), now_ms));
        let passed = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let quarter = i64::try_from(self.lease.as_millis() / 4).unwrap_or(i64::MAX);
        let ahead_ms = (now_ms - before).saturating_sub(passed);
        if ahead_ms > quarter {
            tracing::warn!(ahead_ms, "the database's clock was set forward: leases are kept");
            self.held_until = Some(Instant::now() + self.lease);
        }
        self.held_until.is_none_or(|until| Instant::now() >= until)
    }
}

async fn round(
    store: &Store,
    broker: &dyn Broker,
    queues: &[Queue],
    bell: &Bell,
    leases_hold: bool,
) -> Result<(), crate::store::Error> {
    let lost = if leases_hold { store.reap(false).await? } else { Vec::new() };
    for news in lost {
        metrics::counter!("meanwhile_reaped_total").increment(1);
        broker.announce(News::Facts(news));
        bell.ring();
    }
    for queue in queues {
        let reached = match broker.depth(&queue.name).await {
            Ok(depth) => depth.ready == 0 || depth.consumers > 0,
            Err(broker::Error::NoQueue(name)) => {
                // Nobody consumes and nobody publishes, or they would know.
                match relay::declare(store, broker, &[name]).await {
                    Ok(0) => {}
                    Ok(_) => bell.ring(),
                    Err(error) => tracing::warn!(queue = queue.name, %error, "can't declare"),
                }
                continue;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leases_are_kept_where_a_clock_is_set_forward() {
        let lease = Duration::from_secs(60);
        let mut watch = ClockWatch::new(0, lease);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(watch.look(5_000), "time passes");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!watch.look(86_410_000), "a day in five seconds");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!watch.look(86_469_000), "their holders have not all renewed them");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(watch.look(86_470_000), "who has not renewed by now is lost");
    }
}
