//! Publishes due tasks from the task table, which serves as the outbox. Only a few
//! unclaimed messages are in a queue at any time, so that pausing and cancelling take
//! effect at once and users take turns.

use crate::{
    election::LeaderLease,
    limiter::Limiters,
    store::{DueTasks, RoundRobin, Store},
    task_queue::{self, TaskQueue},
};
use contract::metric;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Minimum pause between two rounds, even if every finished task wakes the relay: under
/// load, a round then publishes many tasks.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(20);
/// Interval at which an idle relay looks for changes by other processes.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which a process that doesn't hold the leader lease tries to acquire it.
const LEASE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// First and longest delay after errors.
const RECONNECT_BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

/// The relay keeps at most this much of the upstream's rate unclaimed in a queue. Tasks that become due
/// later wait behind them.
const UNCLAIMED_WINDOW: Duration = Duration::from_secs(2);

/// A command queue and the limits of its upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueConfig {
    /// AMQP name of the queue.
    pub name: String,
    /// Upstream whose rate limiter its attempts pass; `None` if they pass none.
    pub upstream: Option<String>,
    /// Maximum number of attempts in flight.
    pub concurrency: u16,
    /// Requests per second; `None` if they pass no rate limiter.
    pub rate: Option<f64>,
}

impl QueueConfig {
    /// Returns the maximum number of unclaimed messages in the queue.
    pub(crate) fn max_unclaimed(&self) -> usize {
        let calls = usize::from(self.concurrency).saturating_mul(2);
        // A cast from a float saturates.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let calls_in_window = |rate: f64| (rate * UNCLAIMED_WINDOW.as_secs_f64()).ceil() as usize;
        calls.min(self.rate.map_or(usize::MAX, calls_in_window)).max(4)
    }
}

/// Wakes the relays of this process; cheap to clone.
#[derive(Clone)]
pub struct RelayWaker(watch::Sender<()>);

impl Default for RelayWaker {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl RelayWaker {
    /// Starts the next round of every relay of this process early.
    pub fn wake(&self) {
        self.0.send_replace(());
    }
}

/// Returns the name of the leader lease of a queue's relay. Each queue has its own,
/// because a process of an older release, which doesn't know a new command, must not
/// keep others from publishing it.
#[must_use]
pub fn lease_name(queue: &str) -> String {
    format!("relay:{queue}")
}

/// Publishes the tasks of one queue until `stop`, while this process holds
/// `leader_lease`. Nothing is published while an admin has paused the queue's upstream, so that
/// the tasks are due as soon as the pause ends.
pub async fn run(
    store: Store,
    task_queue: Arc<dyn TaskQueue>,
    queue: QueueConfig,
    limiters: Limiters,
    relay_waker: RelayWaker,
    mut leader_lease: LeaderLease,
    stop: CancellationToken,
) {
    let mut wake_signal = relay_waker.0.subscribe();
    let mut round_robin = RoundRobin::default();
    let mut backoff = RECONNECT_BACKOFF[0];
    loop {
        match leader_lease.is_held().await {
            Ok(true) => {}
            other => {
                if let Err(error) = other {
                    tracing::warn!(%error, "could not check the relay's lease");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LEASE_CHECK_INTERVAL) => continue,
                }
            }
        }
        if queue.upstream.as_ref().is_some_and(|upstream| limiters.pause(upstream).is_some()) {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(POLL_INTERVAL) => continue,
            }
        }
        // A wake-up from here on may concern a task that this round misses.
        wake_signal.mark_unchanged();
        let published = publish_round(&store, task_queue.as_ref(), &queue, &mut round_robin).await;
        let (wait, idle) = match published {
            Ok(0) => (POLL_INTERVAL, true),
            Ok(_) => (Duration::ZERO, false),
            Err(error) => {
                tracing::warn!(queue = queue.name, %error, "could not publish");
                (backoff, false)
            }
        };
        let has_failed = wait > POLL_INTERVAL;
        backoff = match has_failed {
            true => (backoff * 2).min(RECONNECT_BACKOFF[1]),
            false => RECONNECT_BACKOFF[0],
        };
        let next_round_at = Instant::now() + MIN_ROUND_INTERVAL;
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = wake_signal.changed(), if idle => {}
            () = tokio::time::sleep(wait) => {}
        }
        tokio::time::sleep_until(next_round_at).await;
    }
    leader_lease.release().await;
}

/// Why tasks were not published or a queue was not declared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The task queue failed.
    #[error(transparent)]
    TaskQueue(#[from] task_queue::Error),
}

/// Declares queues and, for those that are empty, has their tasks published again:
/// somebody deleted the queue, or the broker lost its data. Returns the number of
/// these tasks. A task whose message is still in flight is published twice, which its
/// fence makes harmless.
///
/// # Errors
/// The broker or the database can't be reached.
pub async fn declare_queues(
    store: &Store,
    task_queue: &dyn TaskQueue,
    queues: &[String],
) -> Result<u64, Error> {
    let mut lost = 0;
    store.tasks.add_queue_generations(queues).await?;
    for queue in task_queue.declare_queues(queues).await? {
        lost += republish_queue(store, &queue).await?;
    }
    Ok(lost)
}

/// Has every queued task of a queue without messages published again, and returns
/// their number.
///
/// # Errors
/// The database can't be reached.
async fn republish_queue(store: &Store, queue: &str) -> Result<u64, crate::store::Error> {
    let lost = store.tasks.unpublish_lost_queue(queue).await?;
    if lost > 0 {
        tracing::warn!(queue, lost, "a queue was lost; its tasks are published again");
        metrics::counter!(metric::TASKS_REPUBLISHED, "queue" => queue.to_owned()).increment(lost);
    }
    Ok(lost)
}

async fn publish_round(
    store: &Store,
    task_queue: &dyn TaskQueue,
    queue: &QueueConfig,
    round_robin: &mut RoundRobin,
) -> Result<usize, Error> {
    let DueTasks { tasks: due, exhausted_jobs: exhausted, generation } =
        store.tasks.due_tasks(&queue.name, queue.max_unclaimed(), round_robin).await?;
    if due.is_empty() {
        store.tasks.mark_published(&[], &exhausted, None).await?;
        return Ok(exhausted.len());
    }
    round_robin.record_turns(&due);
    let mut confirmed = Vec::with_capacity(due.len());
    let (mut first_error, mut is_missing) = (None, false);
    for (message, result) in due.iter().zip(task_queue.publish(&due).await) {
        match result {
            Ok(()) => confirmed.push((message.task, message.fence)),
            Err(error) => {
                is_missing |= matches!(error, task_queue::Error::QueueNotFound(_));
                first_error = first_error.or(Some(error));
            }
        }
    }
    let failed = due.len() - confirmed.len();
    let increment_counter = |name, count: usize| {
        metrics::counter!(name, "queue" => queue.name.clone()).increment(count as u64);
    };
    increment_counter(metric::TASKS_PUBLISHED, confirmed.len());
    increment_counter(metric::PUBLISH_FAILURES, failed);
    store.tasks.mark_published(&confirmed, &exhausted, generation.as_ref()).await?;
    if is_missing {
        declare_queues(store, task_queue, std::slice::from_ref(&queue.name)).await?;
    }
    match first_error {
        Some(error) => Err(error.into()),
        None => Ok(confirmed.len()),
    }
}
