//! A delivery on its way to its claim.

use super::{BACK_OFF, Worker};
use crate::{
    handler::{after, waiting_for, what_to_do},
    measure,
};
use contract::{
    api::WaitingFor,
    envelope::{Dispatch, EnvelopeError},
};
use engine::{
    broker::{Delivery, News},
    gate::{Permit, Refused},
    store::{self, Claim},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What became of a delivery.
enum Delivered {
    Handled,
    /// This worker stops, or no longer consumes: another one takes it.
    GivenBack,
}

impl Worker {
    /// A store that fails is asked again until `over`: a delivery that is
    /// dropped may come again only when its consumer is gone, and takes one
    /// of its slots until then.
    pub async fn deliver(self, queue: &str, delivery: Delivery, over: &CancellationToken) {
        let mut pause = BACK_OFF[0];
        loop {
            let done = match &delivery.content {
                Ok(dispatch) => self.work(dispatch, over).await,
                Err((bytes, why)) => self.reject(queue, bytes, why).await,
            };
            match done {
                Ok(Delivered::Handled) => return delivery.ack().await,
                Ok(Delivered::GivenBack) => return,
                Err(
                    error @ (store::Error::Database(_)
                    | store::Error::Unsettled(_)
                    | store::Error::FilesMissing),
                ) if !error.is_defect() => {
                    tracing::warn!(queue, %error, "a delivery is tried again");
                }
                // It would fail for ever. The reaper misses its message, and
                // has it come again, at a pace that takes no slot from others.
                Err(error) => {
                    tracing::error!(queue, %error, "a delivery is left to the reaper");
                    return delivery.ack().await;
                }
            }
            tokio::select! {
                () = over.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(BACK_OFF[1]);
        }
    }

    async fn reject(
        &self,
        queue: &str,
        bytes: &[u8],
        why: &EnvelopeError,
    ) -> Result<Delivered, store::Error> {
        self.shared.store.reject_message(queue, bytes, &why.to_string()).await?;
        tracing::error!(queue, %why, "a message can't be read; it is kept");
        measure::rejected(queue);
        Ok(Delivered::Handled)
    }

    /// An error leaves nothing behind: no place at the gate, and where the
    /// claim was kept all the same the next one finds its fence gone.
    async fn work(
        &self,
        dispatch: &Dispatch,
        over: &CancellationToken,
    ) -> Result<Delivered, store::Error> {
        let shared = &self.shared;
        let entry = tokio::select! {
            () = over.cancelled() => return Ok(Delivered::GivenBack),
            entry = self.enter() => entry,
        };
        let permit = match entry {
            Ok(permit) => permit,
            Err(refused) => {
                let wait = i64::try_from(after(&refused).as_millis()).unwrap_or(i64::MAX);
                let until = shared.store.now_ms() + wait;
                let reason = waiting_for(&refused);
                let detail = what_to_do(&refused);
                let waiting_for = WaitingFor { reason, until: Some(until), detail };
                shared.store.put_off(dispatch.task, dispatch.fence, until, waiting_for).await?;
                return Ok(Delivered::Handled);
            }
        };
        let claim = shared.claims.one((dispatch.task, dispatch.fence)).await?;
        measure::claim(&claim);
        match claim {
            Claim::Claimed(claimed) => self.run(*claimed, permit).await,
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
}
