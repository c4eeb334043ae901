//! A claim, its call and its end.

use super::{BACK_OFF, Worker, call_limit};
use crate::{
    handler::{Answer, Call, outcome},
    measure,
};
use contract::live::Started;
use engine::{
    broker::News,
    gate::Permit,
    store::{self, Claimed, Finish},
};
use futures_util::FutureExt;
use std::{any::Any, panic::AssertUnwindSafe, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// A handler that takes longer is stopped: this part of a lease.
const LIMIT: f64 = 5.0 / 6.0;
/// A call that takes no longer is told by its end alone.
const AT_ONCE: Duration = Duration::from_millis(20);
/// Of a panic's words so many characters are told.
const WORDS: usize = 200;

impl Worker {
    /// Calls, and has the end kept. Where that can't be done the delivery is
    /// over all the same: nobody may call again before the lease has run out
    /// and the task is known to be unsure.
    pub async fn run(&self, claimed: Claimed, mut permit: Option<Permit>) {
        let shared = &self.shared;
        let start = Instant::now();
        let answer = tokio::select! {
            answer = self.call(&claimed, permit.as_mut()) => answer,
            () = self.watch(&claimed) => {
                tracing::warn!(task = %claimed.task, "the lease is lost; the call is dropped");
                measure::lease_lost();
                return;
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
        match self.finish(finish).await {
            Ok(()) => shared.bell.ring(),
            Err(error) => {
                tracing::error!(task = %claimed.task, %error, "the end of a call is lost");
            }
        }
    }

    async fn call(&self, claimed: &Claimed, permit: Option<&mut Permit>) -> Answer {
        let (start, lease) = (Instant::now(), self.shared.lease);
        let limit = lease.mul_f64(LIMIT);
        let latest = start + limit.saturating_sub(call_limit(lease));
        let mut call = Call { task: claimed, permit, used: false, latest };
        let run = AssertUnwindSafe(self.handler.run(&mut call)).catch_unwind();
        let ended = timeout_at(start + limit, run).await;
        match ended {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                let message = panicked(panic.as_ref());
                tracing::error!(task = %claimed.task, message, "a handler panicked");
                // Nothing was sent by this attempt before its first slot.
                let unsure = call.used || claimed.unsure;
                Answer::Retry { outcome: outcome("panic", message), unsure }
            }
            Err(_) => {
                Answer::Retry { outcome: outcome("timeout", "No answer in time."), unsure: true }
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
    /// While the database can't write, for want of room above all, nobody else
    /// can take the task either: then it is tried until there is room, and the
    /// lease with it.
    async fn finish(&self, finish: Finish) -> Result<(), store::Error> {
        let mut pause = BACK_OFF[0];
        loop {
            match self.shared.ends.one(finish.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_defect() => return Err(error),
                Err(error) if pause >= BACK_OFF[1] && !error.cannot_write() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "could not keep the end of a call");
                    if error.cannot_write()
                        && let Err(error) = self.shared.store.renew(finish.task, finish.fence).await
                    {
                        tracing::debug!(%error, "could not renew a lease");
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF[1]);
        }
    }
}

/// What people are told of a panic.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match words.map(|words| words.chars().take(WORDS).collect::<String>()) {
        Some(why) => format!("Our own code failed at this item: {why}"),
        None => "Our own code failed at this item.".into(),
    }
}
