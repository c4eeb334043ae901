//! Receives deliveries, acquires permits, claims tasks, runs handlers, saves outcomes,
//! acknowledges.

mod attempt;
mod attempt_trace;
mod delivery;
mod heartbeat;

use crate::{
    batcher::{Batcher, ClaimOp, FinishOp},
    registry::{ErasedHandler, Registry},
};
use engine::{
    event_bus::EventBus,
    limiter::Limiters,
    relay::{self, RelayWaker},
    store::{QueueGeneration, Store},
    task_queue::TaskQueue,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Options of [`run`].
pub struct Options {
    /// Store of the tasks.
    pub store: Store,
    /// Queues that are consumed.
    pub task_queue: Arc<dyn TaskQueue>,
    /// Bus of the facts that the worker commits.
    pub event_bus: Arc<dyn EventBus>,
    /// Rate limiters of the upstreams.
    pub limiters: Limiters,
    /// Wakes the relay when tasks have become due.
    pub relay_waker: RelayWaker,
    /// Commands that are consumed.
    pub registry: Registry,
    /// Name of this worker in the history of attempts.
    pub worker_name: String,
}

/// Maximum duration of one request, as a fraction of the lease.
const REQUEST_SHARE_OF_LEASE: f64 = 1.0 / 2.0;
/// First and longest delay before an internal operation (consume, claim, save) is
/// repeated; each delay is twice the one before.
const RECONNECT_BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];
/// Interval at which a consumer checks the limits of its upstream, and the generation of its
/// queue, which changes when messages of the queue are found to be lost.
const CONSUMER_CHECK_INTERVAL: Duration = Duration::from_secs(2);

struct RunnerShared {
    store: Store,
    claim_batcher: Batcher<ClaimOp>,
    finish_batcher: Batcher<FinishOp>,
    task_queue: Arc<dyn TaskQueue>,
    event_bus: Arc<dyn EventBus>,
    limiters: Limiters,
    relay_waker: RelayWaker,
    worker_name: String,
    lease_duration: Duration,
}

/// Returns the maximum duration of one request under a lease of this duration. A
/// handler starts no request that could outlast the handler timeout.
pub fn request_timeout(lease: Duration) -> Duration {
    lease.mul_f64(REQUEST_SHARE_OF_LEASE)
}

/// Consumes the queues until `stop` is cancelled, then drains: attempts in progress
/// finish, and nothing new is claimed.
pub async fn run(options: Options, stop: CancellationToken) {
    let Options { store, task_queue, event_bus, limiters, relay_waker, registry, worker_name } =
        options;
    let tracker = TaskTracker::new();
    // Concurrency slots are renewed until the last attempt has ended.
    let drained = CancellationToken::new();
    let (renewing_limiters, stop_renewal) = (limiters.clone(), drained.clone());
    let renewal_task = tokio::spawn(async move {
        renewing_limiters.renew_slots_until_stopped(stop_renewal).await;
    });
    let heartbeat =
        heartbeat::run(store.clone(), worker_name.clone(), stop.clone(), drained.clone());
    let heartbeat_task = tokio::spawn(heartbeat);
    let lease_duration = store.database.lease();
    let claim_batcher = Batcher::new(ClaimOp { store: store.clone(), worker: worker_name.clone() });
    let finish_batcher =
        Batcher::new(FinishOp { store: store.clone(), event_bus: Arc::clone(&event_bus) });
    let shared = Arc::new(RunnerShared {
        store,
        claim_batcher,
        finish_batcher,
        task_queue,
        event_bus,
        limiters,
        relay_waker,
        worker_name,
        lease_duration,
    });
    for registration in registry.registrations {
        let shared = Arc::clone(&shared);
        let (stop, deliveries) = (stop.clone(), tracker.clone());
        tracker.spawn(async move {
            let consumer = Consumer {
                queue: registration.queue.name,
                concurrency: registration.queue.concurrency,
                upstream: registration.upstream.map(Into::into),
                handler: registration.handler,
            };
            consumer.run(shared, deliveries, stop).await;
        });
    }
    tracker.close();
    tracker.wait().await;
    drained.cancel();
    let _ = renewal_task.await;
    let _ = heartbeat_task.await;
}

struct Consumer {
    queue: String,
    /// Number of deliveries at once, unless the upstream's limits have been replaced since.
    concurrency: u16,
    upstream: Option<Arc<str>>,
    handler: Arc<dyn ErasedHandler>,
}

impl Consumer {
    async fn run(self, shared: Arc<RunnerShared>, tracker: TaskTracker, stop: CancellationToken) {
        let mut backoff = RECONNECT_BACKOFF[0];
        while !stop.is_cancelled() {
            let prefetch = self.prefetch(&shared.limiters);
            let start_consuming = async {
                let queues = std::slice::from_ref(&self.queue);
                if relay::declare_queues(&shared.store, shared.task_queue.as_ref(), queues).await?
                    > 0
                {
                    shared.relay_waker.wake();
                }
                // Read before consuming, because messages that are found to be lost from
                // now on may never reach this consumer.
                let generation = shared.store.tasks.queue_generation(&self.queue).await?;
                let deliveries = shared.task_queue.consume(&self.queue, prefetch).await?;
                Ok::<_, relay::Error>((deliveries, generation))
            };
            let mut next_backoff = RECONNECT_BACKOFF[0];
            match start_consuming.await {
                Ok((mut deliveries, generation)) => {
                    backoff = RECONNECT_BACKOFF[0];
                    // Cancelled when the stream ends: deliveries that have not been
                    // claimed by then are left to the broker, which redelivers them to
                    // the next consumer.
                    let consumer_ended = stop.child_token();
                    let _consumer_guard = consumer_ended.clone().drop_guard();
                    let mut reason_to_restart =
                        pin!(self.wait_for_reason_to_restart(&shared, &generation, prefetch));
                    loop {
                        let delivery = tokio::select! {
                            () = stop.cancelled() => return,
                            delivery = deliveries.recv() => delivery,
                            () = &mut reason_to_restart => break,
                        };
                        // A stream ends when the broker cancels the consumer, for
                        // example of a deleted queue: declare and consume again.
                        let Some(delivery) = delivery else { break };
                        let processor = DeliveryProcessor {
                            shared: Arc::clone(&shared),
                            upstream: self.upstream.clone(),
                            handler: Arc::clone(&self.handler),
                        };
                        let (queue, consumer_ended) = (self.queue.clone(), consumer_ended.clone());
                        tracker.spawn(async move {
                            processor.process_delivery(&queue, delivery, &consumer_ended).await;
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(queue = self.queue, %error, "could not consume");
                    next_backoff = (backoff * 2).min(RECONNECT_BACKOFF[1]);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff) => {}
            }
            backoff = next_backoff;
        }
    }

    /// Returns the number of deliveries that the limits of the upstream allow at once.
    fn prefetch(&self, limiters: &Limiters) -> u16 {
        let upstream = self.upstream.as_deref();
        let limits = upstream.and_then(|upstream| limiters.configured_limits(upstream));
        limits.map_or(self.concurrency, |(limits, _)| limits.concurrency)
    }

    /// Waits until the queue has to be consumed anew: the limits have been replaced, or
    /// messages of the queue are found to be lost. The stream may not have
    /// ended then, and yet deliver nothing: if a queue is deleted and declared again
    /// at once, RabbitMQ moves its consumer to the new queue instead of cancelling it
    /// (`handle_consuming_queue_down_or_eol` in its `rabbit_channel.erl`), and 3.10
    /// counts messages as delivered to it that it never sends.
    async fn wait_for_reason_to_restart(
        &self,
        shared: &RunnerShared,
        known: &QueueGeneration,
        prefetch: u16,
    ) {
        loop {
            sleep(CONSUMER_CHECK_INTERVAL).await;
            let current = self.prefetch(&shared.limiters);
            if current != prefetch {
                tracing::info!(self.queue, current, "the concurrency was changed");
                return;
            }
            match shared.store.tasks.queue_generation(&self.queue).await {
                Ok(generation) if generation == *known => {}
                Ok(_) => {
                    tracing::info!(self.queue, "messages were lost; restarting the consumer");
                    return;
                }
                Err(error) => {
                    tracing::debug!(self.queue, %error, "could not check for lost messages")
                }
            }
        }
    }
}

/// Processes one delivery.
struct DeliveryProcessor {
    shared: Arc<RunnerShared>,
    upstream: Option<Arc<str>>,
    handler: Arc<dyn ErasedHandler>,
}
