//! Takes deliveries, passes the gate, claims, calls, finishes, acknowledges.

use crate::{
    handler::{Answer, Call, after, outcome, waiting_for},
    measure,
    registry::{AnyHandler, Registry},
    together::{Claims, Ends, Together},
};
use contract::{api::WaitingFor, envelope::Dispatch, live::Started};
use engine::{
    broker::{Broker, Delivery, News},
    gate::{Gates, Permit, Refused},
    relay::Bell,
    store::{self, Claim, Claimed, Finish, Store},
};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a runner works with.
pub struct Options {
    pub store: Store,
    pub broker: Arc<dyn Broker>,
    pub gates: Gates,
    pub bell: Bell,
    pub registry: Registry,
    /// This worker's name, as attempts tell it.
    pub name: String,
}

/// A handler that takes longer is stopped: this part of a lease.
const LIMIT: f64 = 5.0 / 6.0;
/// A call that takes no longer is told by its end alone.
const AT_ONCE: Duration = Duration::from_millis(20);
/// The limit of one request: this part of a lease.
const CALL: f64 = 1.0 / 2.0;
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

struct Shared {
    store: Store,
    claims: Together<Claims>,
    ends: Together<Ends>,
    broker: Arc<dyn Broker>,
    gates: Gates,
    bell: Bell,
    name: String,
    lease: Duration,
}

/// How long one request may take under a lease of that length. A handler
/// begins none that could not take so long before the handler is stopped.
pub fn call_limit(lease: Duration) -> Duration {
    lease.mul_f64(CALL)
}

/// Runs until `stop`, then drains: calls under way finish, nothing new is
/// claimed.
pub async fn run(options: Options, stop: CancellationToken) {
    let Options { store, broker, gates, bell, registry, name } = options;
    let tracker = TaskTracker::new();
    // Places are kept until the last call has drained.
    let drained = CancellationToken::new();
    let (kept, end) = (gates.clone(), drained.clone());
    let keeper = tokio::spawn(async move { kept.keep(end).await });
    let lease = Duration::from_millis(u64::try_from(store.lease_ms()).unwrap_or_default());
    let claims = Together::new(Claims { store: store.clone(), worker: name.clone() });
    let ends = Together::new(Ends { store: store.clone(), broker: Arc::clone(&broker) });
    let shared = Arc::new(Shared { store, claims, ends, broker, gates, bell, name, lease });
    for consumer in registry.consumers {
        let shared = Arc::clone(&shared);
        let (stop, calls) = (stop.clone(), tracker.clone());
        tracker.spawn(async move {
            let consume = Consume {
                queue: consumer.queue.name,
                slots: consumer.queue.concurrency,
                account: consumer.account.map(Into::into),
                handler: consumer.handler,
            };
            consume.run(shared, calls, stop).await;
        });
    }
    tracker.close();
    tracker.wait().await;
    drained.cancel();
    let _ = keeper.await;
}

struct Consume {
    queue: String,
    slots: u16,
    account: Option<Arc<str>>,
    handler: Arc<dyn AnyHandler>,
}

impl Consume {
    async fn run(self, shared: Arc<Shared>, calls: TaskTracker, stop: CancellationToken) {
        let mut pause = BACK_OFF[0];
        while !stop.is_cancelled() {
            let consumed = async {
                shared.broker.declare(std::slice::from_ref(&self.queue)).await?;
                shared.broker.consume(&self.queue, self.slots).await
            };
            match consumed.await {
                Ok(mut deliveries) => {
                    pause = BACK_OFF[0];
                    loop {
                        let delivery = tokio::select! {
                            () = stop.cancelled() => return,
                            delivery = deliveries.recv() => delivery,
                        };
                        // A stream that ends is a cancel: consume anew.
                        let Some(delivery) = delivery else { break };
                        let worker = Worker {
                            shared: Arc::clone(&shared),
                            account: self.account.clone(),
                            handler: Arc::clone(&self.handler),
                        };
                        let (queue, stop) = (self.queue.clone(), stop.clone());
                        calls.spawn(async move { worker.deliver(&queue, delivery, &stop).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(queue = self.queue, %error, "could not consume");
                    pause = (pause * 2).min(BACK_OFF[1]);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }
}

/// What became of a delivery.
enum Delivered {
    Handled,
    /// This worker stops: another one takes it.
    GivenBack,
}

struct Worker {
    shared: Arc<Shared>,
    account: Option<Arc<str>>,
    handler: Arc<dyn AnyHandler>,
}

impl Worker {
    /// A delivery that a store's error keeps from its end is dropped
    /// unacknowledged and comes again.
    async fn deliver(self, queue: &str, delivery: Delivery, stop: &CancellationToken) {
        let result = match &delivery.content {
            Ok(dispatch) => self.work(dispatch, stop).await,
            Err((bytes, why)) => {
                tracing::error!(queue, %why, "a message can't be read; it is kept");
                measure::rejected(queue);
                let kept = self.shared.store.reject_message(queue, bytes, &why.to_string()).await;
                kept.map(|()| Delivered::Handled)
            }
        };
        match result {
            Ok(Delivered::Handled) => delivery.ack().await,
            Ok(Delivered::GivenBack) => {}
            Err(error) => {
                tracing::warn!(queue, %error, "a delivery comes again");
                sleep(BACK_OFF[0]).await;
            }
        }
    }

    async fn work(
        &self,
        dispatch: &Dispatch,
        stop: &CancellationToken,
    ) -> Result<Delivered, store::Error> {
        let shared = &self.shared;
        let entry = tokio::select! {
            () = stop.cancelled() => return Ok(Delivered::GivenBack),
            entry = self.enter() => entry,
        };
        let permit = match entry {
            Ok(permit) => permit,
            Err(refused) => {
                let wait = i64::try_from(after(&refused).as_millis()).unwrap_or(i64::MAX);
                let until = shared.store.now_ms() + wait;
                let reason = waiting_for(&refused);
                let waiting_for = WaitingFor { reason, until: Some(until), detail: None };
                shared.store.put_off(dispatch.task, dispatch.fence, until, waiting_for).await?;
                return Ok(Delivered::Handled);
            }
        };
        let claim = shared.claims.one((dispatch.task, dispatch.fence)).await?;
        measure::claim(&claim);
        match claim {
            Claim::Claimed(claimed) => self.run(*claimed, permit).await?,
            Claim::Superseded(news) => shared.broker.announce(News::Facts(news)),
            Claim::Locked | Claim::Nothing => {}
        }
        Ok(Delivered::Handled)
    }

    /// Through the gate of the account that is called, if one is.
    async fn enter(&self) -> Result<Option<Permit>, Refused> {
        match &self.account {
            Some(account) => self.shared.gates.enter(account).await.map(Some),
            None => Ok(None),
        }
    }

    async fn run(&self, claimed: Claimed, mut permit: Option<Permit>) -> Result<(), store::Error> {
        let shared = &self.shared;
        let start = Instant::now();
        let answer = tokio::select! {
            answer = self.call(&claimed, permit.as_mut()) => answer,
            () = self.watch(&claimed) => {
                tracing::warn!(task = %claimed.task, "the lease is lost; the call is dropped");
                measure::lease_lost();
                return Ok(());
            }
        };
        drop(permit);
        measure::attempt(&claimed.kind, &answer, start.elapsed());
        if let (Answer::Closed { wait, outcome }, Some(account)) = (&answer, &self.account) {
            shared.gates.close(account, *wait, &outcome.code).await;
        }
        let finish = Finish {
            task: claimed.task,
            fence: claimed.fence,
            worker: shared.name.clone(),
            ending: answer.ending(shared.store.now_ms()),
        };
        self.finish(finish).await?;
        shared.bell.ring();
        Ok(())
    }

    async fn call(&self, claimed: &Claimed, permit: Option<&mut Permit>) -> Answer {
        let (start, lease) = (Instant::now(), self.shared.lease);
        let limit = lease.mul_f64(LIMIT);
        let latest = start + limit.saturating_sub(call_limit(lease));
        let mut call = Call { task: claimed, permit, used: false, latest };
        let run = AssertUnwindSafe(self.handler.run(&mut call)).catch_unwind();
        match timeout_at(start + limit, run).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                let why = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                tracing::error!(task = %claimed.task, why, "a handler panicked");
                let outcome =
                    outcome("panic", "Our own code failed at this item. It is tried again.");
                Answer::Retry { outcome, unsure: true }
            }
            Err(_) => {
                let outcome = outcome("timeout", "No answer in time. The service is asked first.");
                Answer::Retry { outcome, unsure: true }
            }
        }
    }

    /// Tells of a call that is not over at once. Returns when its lease is
    /// lost.
    async fn watch(&self, claimed: &Claimed) {
        sleep(AT_ONCE).await;
        let started = Started {
            task: claimed.task,
            job: claimed.job,
            attempt: claimed.attempt,
            at: claimed.started_at,
        };
        self.shared.broker.announce(News::Started(claimed.user, started));
        self.lose(claimed).await;
    }

    /// Returns when the lease is lost, or could not be renewed before its
    /// end.
    async fn lose(&self, claimed: &Claimed) {
        let third = self.shared.lease / 3;
        let mut failures = 0;
        loop {
            sleep(third).await;
            match self.shared.store.renew(claimed.task, claimed.fence).await {
                Ok(true) => failures = 0,
                Ok(false) => return,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(task = %claimed.task, %error, "could not renew a lease");
                    if failures == 2 {
                        return;
                    }
                }
            }
        }
    }

    /// The end of a call is worth some tries: without it the call is unsure.
    async fn finish(&self, finish: Finish) -> Result<(), store::Error> {
        let mut pause = BACK_OFF[0];
        loop {
            match self.shared.ends.one(finish.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if pause >= BACK_OFF[1] => return Err(error),
                Err(error) => tracing::warn!(%error, "could not keep the end of a call"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF[1]);
        }
    }
}
