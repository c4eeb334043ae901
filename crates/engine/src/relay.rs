//! Publishes what the task table says is due, and keeps few messages
//! unclaimed, so that pause and cancel bite at once and users take turns.

use crate::{broker::Broker, election::Seat, store::Store};
use contract::UserId;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Between two rounds that publish: while there is much to do, a round has much
/// to do.
const PACE: Duration = Duration::from_millis(20);
/// A change of another process is seen after this time at the latest.
const POLL: Duration = Duration::from_millis(100);
/// Whoever does not publish looks this often whether the seat is free.
const WATCH: Duration = Duration::from_secs(1);
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

/// A queue, and how many calls its account allows at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    pub name: String,
    pub concurrency: u16,
}

impl Queue {
    /// Messages that may lie in the queue unclaimed.
    fn window(&self) -> usize {
        usize::from(self.concurrency).saturating_mul(2).max(4)
    }
}

/// Wakes the relay of this process; cheap to clone.
#[derive(Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Runs until `stop`; of several processes the one that holds `seat` publishes.
pub async fn run(
    store: Store,
    broker: Arc<dyn Broker>,
    queues: Vec<Queue>,
    bell: Bell,
    mut seat: Seat,
    stop: CancellationToken,
) {
    let mut served: HashMap<String, UserId> = HashMap::new();
    let mut pause = BACK_OFF[0];
    loop {
        let mut published = 0;
        let mut trouble = false;
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
        for queue in &queues {
            match round(&store, broker.as_ref(), queue, &mut served).await {
                Ok(count) => published += count,
                Err(error) => {
                    tracing::warn!(queue = queue.name, %error, "could not publish");
                    trouble = true;
                }
            }
        }
        let wait = if trouble {
            pause = (pause * 2).min(BACK_OFF[1]);
            pause
        } else {
            pause = BACK_OFF[0];
            if published > 0 { PACE } else { POLL }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = bell.0.notified(), if !trouble && published == 0 => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    seat.leave().await;
}

/// Why a round did not publish.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Broker(#[from] crate::broker::Error),
}

async fn round(
    store: &Store,
    broker: &dyn Broker,
    queue: &Queue,
    served: &mut HashMap<String, UserId>,
) -> Result<usize, Error> {
    let due = store.due(&queue.name, queue.window(), served.get(&queue.name).copied()).await?;
    let Some(last) = due.last() else { return Ok(0) };
    served.insert(queue.name.clone(), last.user);
    let mut confirmed = Vec::with_capacity(due.len());
    let mut first_error = None;
    for (dispatch, result) in due.iter().zip(broker.publish(&due).await) {
        match result {
            Ok(()) => confirmed.push((dispatch.task, dispatch.fence)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let failed = due.len() - confirmed.len();
    let of = |name, count: usize| {
        metrics::counter!(name, "queue" => queue.name.clone()).increment(count as u64);
    };
    of("meanwhile_published_total", confirmed.len());
    of("meanwhile_publish_failures_total", failed);
    store.mark_published(&confirmed).await?;
    match first_error {
        Some(error) => Err(error.into()),
        None => Ok(confirmed.len()),
    }
}
