//! Takes back the tasks of lost workers, and has tasks published again whose messages
//! the broker lost.

use crate::{
    clock::whole_millis,
    election::LeaderLease,
    event_bus::{self, EventBus},
    relay::{self, QueueConfig, RelayWaker},
    store::{self, Store},
    task_queue::{self, TaskQueue},
};
use contract::metric;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Rounds per lease duration: an expired lease is noticed a twelfth of it later.
const ROUNDS_PER_LEASE: u32 = 12;

/// Runs until `stop`. Only the process that holds `leader_lease` reaps.
pub async fn run(
    store: Store,
    task_queue: Arc<dyn TaskQueue>,
    event_bus: Arc<dyn EventBus>,
    queues: Vec<QueueConfig>,
    relay_waker: RelayWaker,
    mut leader_lease: LeaderLease,
    stop: CancellationToken,
) {
    let lease = store.database.lease();
    let mut clock_jumps = ClockJumpDetector::new(store.database.now_ms(), lease);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(lease / ROUNDS_PER_LEASE) => {}
        }
        let round = async {
            if let Some(backward_ms) = store.database.sync_clock().await? {
                tracing::warn!(
                    backward_ms,
                    "the database's clock was set back: delays keep their length"
                );
                clock_jumps.record_backward_jump();
            } else if clock_jumps.waits_after_jump() {
                // Other processes may have written timestamps by the old clock since.
                store.database.rebase_timestamps().await?;
            }
            let can_reap = clock_jumps.observe(store.database.now_ms());
            if leader_lease.is_held().await? {
                if can_reap {
                    reap_expired_leases(&store, event_bus.as_ref(), &relay_waker).await?;
                }
                republish_lost_tasks(&store, task_queue.as_ref(), &queues, &relay_waker).await?;
            }
            Ok::<_, store::Error>(())
        };
        if let Err(error) = round.await {
            tracing::warn!(%error, "could not take back lost work");
        }
    }
    leader_lease.release().await;
}

/// Detects by the monotonic clock that the database's clock was set.
struct ClockJumpDetector {
    last_observation: (Instant, i64),
    lease: Duration,
    /// A forward jump makes every lease expire at once. Until then, their holders have
    /// time to renew them.
    leases_extended_until: Option<Instant>,
    settling_until: Option<Instant>,
}

impl ClockJumpDetector {
    fn new(now_ms: i64, lease: Duration) -> Self {
        let last_observation = (Instant::now(), now_ms);
        Self { last_observation, lease, leases_extended_until: None, settling_until: None }
    }

    fn record_backward_jump(&mut self) {
        self.settling_until = Some(Instant::now() + 2 * self.lease);
    }

    fn waits_after_jump(&self) -> bool {
        self.settling_until.is_some_and(|until| Instant::now() < until)
    }

    /// Returns whether leases that have expired by `now_ms` may be reaped.
    fn observe(&mut self, now_ms: i64) -> bool {
        let (at, before) = std::mem::replace(&mut self.last_observation, (Instant::now(), now_ms));
        let forward_ms = (now_ms - before).saturating_sub(whole_millis(at.elapsed()));
        if forward_ms > whole_millis(self.lease / 4) {
            tracing::warn!(
                forward_ms,
                "the database's clock was set forward: leases get time to be renewed"
            );
            self.leases_extended_until = Some(Instant::now() + self.lease);
        }
        self.leases_extended_until.is_none_or(|until| Instant::now() >= until)
    }
}

/// Takes back the tasks of lost workers.
async fn reap_expired_leases(
    store: &Store,
    event_bus: &dyn EventBus,
    relay_waker: &RelayWaker,
) -> Result<(), store::Error> {
    for facts in store.tasks.reap_expired_leases(false).await? {
        metrics::counter!(metric::TASKS_REAPED).increment(1);
        event_bus::publish_facts(event_bus, facts);
        relay_waker.wake();
    }
    Ok(())
}

/// Has tasks published again whose messages the broker lost.
async fn republish_lost_tasks(
    store: &Store,
    task_queue: &dyn TaskQueue,
    queues: &[QueueConfig],
    relay_waker: &RelayWaker,
) -> Result<(), store::Error> {
    for queue in queues {
        let waits_for_consumer = match task_queue.queue_depth(&queue.name).await {
            Ok(depth) => depth.ready > 0 && depth.consumers == 0,
            Err(task_queue::Error::QueueNotFound(name)) => {
                // No consumer and no relay has noticed that the queue is missing.
                match relay::declare_queues(store, task_queue, &[name]).await {
                    Ok(0) => {}
                    Ok(_) => relay_waker.wake(),
                    Err(error) => {
                        tracing::warn!(queue = queue.name, %error, "could not declare a queue")
                    }
                }
                continue;
            }
            // The relay logs it already, and the next round tries again.
            Err(_) => continue,
        };
        // Messages that wait for a consumer that isn't there are not lost.
        if waits_for_consumer {
            continue;
        }
        // A message that was published two leases ago would have been claimed or
        // deferred by now if it were still on its way to a consumer.
        let published_before = store.database.now_ms() - whole_millis(2 * store.database.lease());
        let unpublished = store.tasks.unpublish_tasks(&queue.name, published_before).await?;
        if unpublished > 0 {
            metrics::counter!(metric::TASKS_REPUBLISHED, "queue" => queue.name.clone())
                .increment(unpublished);
            relay_waker.wake();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leases_do_not_expire_when_the_clock_jumps_forward() {
        let lease = Duration::from_secs(60);
        let mut detector = ClockJumpDetector::new(0, lease);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(detector.observe(5_000), "time passes");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!detector.observe(86_410_000), "the clock jumped by a day");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!detector.observe(86_469_000), "not all holders had time to renew");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(detector.observe(86_470_000), "workers that haven't renewed are lost");
    }
}
