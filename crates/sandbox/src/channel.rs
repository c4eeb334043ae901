//! A sales channel.

mod draft;
mod shelf;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::json;
use tokio::sync::watch;

use draft::Draft;
use shelf::{Claim, Product, Shelf};

use crate::{
    answer::{Answer, Outcome},
    clock::Micros,
    door::{Arrival, Door},
    faults::Fault,
    ledger::hold,
    retry_after,
    spec::ChannelSpec,
    world::World,
};

const POST: &str = "POST";
const GET: &str = "GET";
const LOOK_UP: Duration = Duration::from_millis(400);

pub struct Channel {
    spec: &'static ChannelSpec,
    world: Arc<World>,
    door: Door,
    shelf: Mutex<Shelf>,
}

impl Channel {
    /// Knows again all that an earlier run has written down.
    pub fn new(spec: &'static ChannelSpec, world: Arc<World>) -> Self {
        let kept = world.ledger.of(spec.id);
        let door = Door::new(spec.id, spec.rate, &kept, Arc::clone(&world));
        Self { spec, world, door, shelf: Mutex::new(Shelf::restored(&kept)) }
    }

    pub fn id(&self) -> &'static str {
        self.spec.id
    }

    /// `POST /products`. The product is stored when the latency is over, just before the answer.
    pub async fn make(self: Arc<Self>, key: Option<String>, body: impl AsRef<[u8]>) -> Outcome {
        let made = self.try_make(key.as_deref(), Draft::parse(body.as_ref())).await;
        made.unwrap_or_else(|error| self.unwritten(&error))
    }

    /// `GET /products?sku=…`.
    pub async fn find(self: Arc<Self>, sku: Option<String>) -> Outcome {
        let found = self.try_find(sku.as_deref()).await;
        found.unwrap_or_else(|error| self.unwritten(&error))
    }

    async fn try_make(
        &self,
        key: Option<&str>,
        draft: Result<Draft, Answer>,
    ) -> io::Result<Outcome> {
        let sku = draft.as_ref().ok().map(|draft| &*draft.sku);
        let arrival = self.door.arrive(POST, key, sku)?;
        if let Some(until) = arrival.refused_until {
            return self.refuse(&arrival, until);
        }
        let draft = match draft {
            Ok(draft) => draft,
            Err(answer) => return self.answer(&arrival, answer),
        };
        let nth = hold(&self.shelf).count(&draft.sku);
        let known_key = key.filter(|_| self.spec.idempotency_keys);
        let first = match known_key.map(|key| hold(&self.shelf).claim(key, draft.fingerprint)) {
            None => None,
            Some(Claim::New(first)) => Some(first),
            Some(Claim::Known(product)) => {
                let answer = made(StatusCode::OK, &product.id, &draft.sku);
                return self.answer(&arrival, answer);
            }
            Some(Claim::InFlight(answer)) => return self.wait(&arrival, answer).await,
            Some(Claim::OtherBody) => return self.answer(&arrival, key_reused()),
        };
        let dice = &self.world.dice;
        let fault = dice.fault(self.world.faults(), self.spec.id, &draft.sku, &draft.title, nth);
        if let Some(Fault::Close(pause)) = fault {
            let value = self.door.close(arrival.request, pause, self.spec.retry_after)?;
            return Ok(Outcome::Answer(too_many().retry_after(value)));
        }
        tokio::time::sleep(self.latency(&draft.sku, nth)).await;
        let answer = match fault {
            Some(Fault::Reject(reason)) => rejected(reason),
            Some(Fault::Fail) => failed(),
            _ => self.store(key, &draft)?,
        };
        if let Some(first) = first {
            first.send_replace(Some(answer.clone()));
        }
        if fault == Some(Fault::Drop) && answer.status == StatusCode::CREATED {
            self.door.dropped(arrival.request)?;
            return Ok(Outcome::Dropped);
        }
        self.answer(&arrival, answer)
    }

    async fn try_find(&self, sku: Option<&str>) -> io::Result<Outcome> {
        let arrival = self.door.arrive(GET, None, sku)?;
        if let Some(until) = arrival.refused_until {
            return self.refuse(&arrival, until);
        }
        let Some(sku) = sku else {
            return self.answer(&arrival, malformed("The query parameter sku is missing"));
        };
        tokio::time::sleep(self.world.scaled(LOOK_UP)).await;
        let items = hold(&self.shelf).find(sku);
        self.answer(&arrival, Answer::json(StatusCode::OK, json!({ "items": items })))
    }

    /// Stores the product, unless the channel refuses it.
    fn store(&self, key: Option<&str>, draft: &Draft) -> io::Result<Answer> {
        let mut shelf = hold(&self.shelf);
        if self.spec.refuses_duplicate_skus
            && let Some(there) = shelf.first(&draft.sku)
        {
            let body = json!({ "error": "duplicate_sku", "id": there.id });
            return Ok(Answer::json(StatusCode::CONFLICT, body));
        }
        let id = shelf.next_id(self.spec.id);
        let product = Product::new(&id, draft);
        let effect = product.effect(POST, self.world.clock.now(), key, draft.fingerprint);
        self.world.ledger.effect(self.spec.id, effect)?;
        shelf.add(product, key.map(|key| (key, draft.fingerprint)));
        Ok(made(StatusCode::CREATED, &id, &draft.sku))
    }

    /// Waits for the first answer to the same key.
    async fn wait(
        &self,
        arrival: &Arrival,
        mut first: watch::Receiver<Option<Answer>>,
    ) -> io::Result<Outcome> {
        let answer = first.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        let answer = answer.map_or_else(failed, |answer| match answer.status {
            StatusCode::CREATED => answer.with_status(StatusCode::OK),
            _ => answer,
        });
        self.answer(arrival, answer)
    }

    fn latency(&self, sku: &str, nth: u32) -> Duration {
        if let Some(latency) = self.world.latency {
            return self.world.scaled(latency);
        }
        let fraction = self.world.dice.fraction("latency", self.spec.id, sku, nth);
        let shortest = self.spec.latency.saturating_sub(self.spec.latency_spread);
        self.world.scaled(shortest + self.spec.latency_spread.mul_f64(2.0 * fraction))
    }

    fn refuse(&self, arrival: &Arrival, until: Micros) -> io::Result<Outcome> {
        let (value, _) = retry_after::word(self.spec.retry_after, arrival.at, until);
        self.answer(arrival, too_many().retry_after(value))
    }

    fn answer(&self, arrival: &Arrival, answer: Answer) -> io::Result<Outcome> {
        self.door.answered(arrival.request, answer.status.as_u16())?;
        Ok(Outcome::Answer(answer))
    }

    fn unwritten(&self, error: &io::Error) -> Outcome {
        tracing::error!(%error, channel = self.spec.id, "the sandbox can't write its ledger");
        let body = json!({ "error": "unavailable", "reason": "The ledger can't be written" });
        Outcome::Answer(Answer::json(StatusCode::SERVICE_UNAVAILABLE, body))
    }
}

fn made(status: StatusCode, id: &str, sku: &str) -> Answer {
    Answer::json(status, json!({ "id": id, "sku": sku }))
}

fn rejected(reason: &str) -> Answer {
    let body = json!({ "error": "rejected", "reason": reason });
    Answer::json(StatusCode::UNPROCESSABLE_ENTITY, body)
}

fn malformed(reason: &str) -> Answer {
    Answer::json(StatusCode::BAD_REQUEST, json!({ "error": "malformed", "reason": reason }))
}

fn key_reused() -> Answer {
    let reason = "The idempotency key was used for another product";
    let body = json!({ "error": "idempotency_key_reused", "reason": reason });
    Answer::json(StatusCode::UNPROCESSABLE_ENTITY, body)
}

fn failed() -> Answer {
    Answer::json(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "internal" }))
}

fn too_many() -> Answer {
    Answer::json(StatusCode::TOO_MANY_REQUESTS, json!({ "error": "too_many_requests" }))
}
