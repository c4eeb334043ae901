//! Publishes what the task table says is due, and keeps few messages
//! unclaimed, so that pause and cancel bite at once and users take turns.

use crate::{
    broker::Broker,
    election::Seat,
    store::{Due, Store, Turns},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Between two rounds, also where the bell rings with each task that ends: while
/// there is much to do, a round has much to do.
const PACE: Duration = Duration::from_millis(20);
/// A change of another process is seen after this time at the latest.
const POLL: Duration = Duration::from_millis(100);
/// Whoever does not publish looks this often whether the seat is free.
const WATCH: Duration = Duration::from_secs(1);
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

/// What lies in a queue unclaimed is enough for this long: whoever comes next
/// waits behind it.
const SOON: Duration = Duration::from_secs(2);

/// A queue, and what its account allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub name: String,
    /// Calls at once.
    pub concurrency: u16,
    /// Calls a second, where they pass a gate.
    pub rate: Option<f64>,
}

impl Queue {
    /// Messages that may lie in the queue unclaimed.
    fn window(&self) -> usize {
        let calls = usize::from(self.concurrency).saturating_mul(2);
        // A float's cast saturates.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let soon = |rate: f64| (rate * SOON.as_secs_f64()).ceil() as usize;
        calls.min(self.rate.map_or(usize::MAX, soon)).max(4)
    }
}

/// Wakes the relays of this process; cheap to clone.
#[derive(Clone)]
pub struct Bell(watch::Sender<()>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Bell {
    pub fn ring(&self) {
        self.0.send_replace(());
    }
}

/// The seat of a queue's relay. Each queue has its own: an old process that
/// does not know a new command must not keep others from publishing it.
#[must_use]
pub fn seat(queue: &str) -> String {
    format!("relay:{queue}")
}

/// Publishes one queue until `stop`; of several processes the one that holds
/// `seat` does.
pub async fn run(
    store: Store,
    broker: Arc<dyn Broker>,
    queue: Queue,
    bell: Bell,
    mut seat: Seat,
    stop: CancellationToken,
) {
    let mut bell = bell.0.subscribe();
    let mut turns = Turns::default();
    let mut pause = BACK_OFF[0];
    loop {
        match seat.is_held().await {
            Ok(true) => {}
            held => {
                if let Err(error) = held {
                    tracing::warn!(%error, "can't tell who publishes");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(WATCH) => continue,
                }
            }
        }
        // What rings from here on may not be in this round.
        bell.mark_unchanged();
        let (wait, idle) = match round(&store, broker.as_ref(), &queue, &mut turns).await {
            Ok(0) => (POLL, true),
            Ok(_) => (Duration::ZERO, false),
            Err(error) => {
                tracing::warn!(queue = queue.name, %error, "could not publish");
                pause = (pause * 2).min(BACK_OFF[1]);
                (pause, false)
            }
        };
        if wait <= POLL {
            pause = BACK_OFF[0];
        }
        let next = Instant::now() + PACE;
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = bell.changed(), if idle => {}
            () = tokio::time::sleep(wait) => {}
        }
        tokio::time::sleep_until(next).await;
    }
    seat.leave().await;
}

/// Why nothing was published, or a queue not declared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Broker(#[from] crate::broker::Error),
}

/// Declares queues, and has the tasks published again whose messages are in
/// none of them: somebody deleted a queue, or the broker lost all that it kept.
/// Returns the number of these tasks. A task whose message is still on its way
/// is published twice, which its fence makes harmless.
///
/// # Errors
/// The broker or the database can't be reached.
pub async fn declare(store: &Store, broker: &dyn Broker, queues: &[String]) -> Result<u64, Error> {
    let mut lost = 0;
    store.add_queues(queues).await?;
    for queue in broker.declare(queues).await? {
        lost += publish_again(store, &queue).await?;
    }
    Ok(lost)
}

/// Has every queued task of a queue published again: none of its messages is
/// left. Returns their number.
///
/// # Errors
/// The database can't be reached.
async fn publish_again(store: &Store, queue: &str) -> Result<u64, crate::store::Error> {
    let lost = store.queue_lost(queue).await?;
    if lost > 0 {
        tracing::warn!(queue, lost, "a queue was lost; its tasks are published again");
        metrics::counter!("meanwhile_unpublished_total", "queue" => queue.to_owned())
            .increment(lost);
    }
    Ok(lost)
}

async fn round(
    store: &Store,
    broker: &dyn Broker,
    queue: &Queue,
    turns: &mut Turns,
) -> Result<usize, Error> {
    let Due { tasks: due, exhausted, generation } =
        store.due(&queue.name, queue.window(), turns).await?;
    if due.is_empty() {
        store.mark_published(&[], &exhausted, None).await?;
        return Ok(exhausted.len());
    }
    turns.taken(&due);
    let mut confirmed = Vec::with_capacity(due.len());
    let (mut first_error, mut is_missing) = (None, false);
    for (dispatch, result) in due.iter().zip(broker.publish(&due).await) {
        match result {
            Ok(()) => confirmed.push((dispatch.task, dispatch.fence)),
            Err(error) => {
                is_missing |= matches!(error, crate::broker::Error::NoQueue(_));
                first_error = first_error.or(Some(error));
            }
        }
    }
    let failed = due.len() - confirmed.len();
    let of = |name, count: usize| {
        metrics::counter!(name, "queue" => queue.name.clone()).increment(count as u64);
    };
    of("meanwhile_published_total", confirmed.len());
    of("meanwhile_publish_failures_total", failed);
    store.mark_published(&confirmed, &exhausted, generation.as_ref()).await?;
    if is_missing {
        declare(store, broker, std::slice::from_ref(&queue.name)).await?;
    }
    match first_error {
        Some(error) => Err(error.into()),
        None => Ok(confirmed.len()),
    }
}
