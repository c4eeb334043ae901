//! What EC2 and CloudWatch have in common: a limit, a latency, and the Query protocol.

use std::{io, sync::Arc, time::Duration};

use axum::http::StatusCode;

use crate::{
    answer::{Answer, Outcome},
    door::Door,
    ledger::Kept,
    query::{Params, Refusal, request_id},
    spec::Rate,
    world::World,
};

const LATENCY: Duration = Duration::from_millis(300);

/// A service of AWS.
pub trait Service: Send + Sync + Sized + 'static {
    const ID: &'static str;
    const VERSION: &'static str;
    const RATE: Rate;

    /// Knows again all that an earlier run has written down.
    fn restored(kept: &Kept, world: Arc<World>) -> Self;

    /// What the ledger calls the key and the SKU of a request.
    fn subject(params: &Params) -> (Option<String>, Option<String>);

    /// Does what is asked and gives the inside of the answer.
    fn act(&self, params: &Params) -> Result<String, Refusal>;

    fn throttled() -> Refusal;

    fn success(action: &str, inner: &str, request_id: &str) -> Answer;

    fn failure(refusal: &Refusal, request_id: &str) -> Answer;
}

pub struct Endpoint<S> {
    service: S,
    world: Arc<World>,
    door: Door,
}

impl<S: Service> Endpoint<S> {
    pub fn new(world: Arc<World>) -> Self {
        let kept = world.ledger.of(S::ID);
        let service = S::restored(&kept, Arc::clone(&world));
        let door = Door::new(S::ID, S::RATE, &kept, Arc::clone(&world));
        Self { service, world, door }
    }

    /// Carries out one request. None stands for a body that is no form.
    pub async fn call(self: Arc<Self>, params: Option<Params>) -> Outcome {
        let answer = self.try_call(params).await.unwrap_or_else(|error| {
            tracing::error!(%error, service = S::ID, "the sandbox can't write its ledger");
            S::failure(&Refusal::from(error), "unavailable")
        });
        Outcome::Answer(answer)
    }

    async fn try_call(&self, params: Option<Params>) -> io::Result<Answer> {
        let known = params.as_ref();
        let (key, sku) = known.map(S::subject).unwrap_or_default();
        let action = known.map(Params::action).unwrap_or_default();
        let arrival = self.door.arrive(action, key.as_deref(), sku.as_deref())?;
        let done = match params.as_ref() {
            _ if arrival.refused_until.is_some() => Err(S::throttled()),
            Some(params) => {
                tokio::time::sleep(self.world.scaled(LATENCY)).await;
                right_version::<S>(params).and_then(|()| self.service.act(params))
            }
            None => Err(Refusal::bad("MalformedQueryString", "The body is no form")),
        };
        let id = request_id(&self.world.dice, S::ID, arrival.request);
        let answer = match done {
            Ok(inner) => S::success(action, &inner, &id),
            Err(refusal) => S::failure(&refusal, &id),
        };
        self.door.answered(arrival.request, answer.status.as_u16())?;
        Ok(answer)
    }
}

fn right_version<S: Service>(params: &Params) -> Result<(), Refusal> {
    match params.get("Version") {
        Some(version) if version == S::VERSION => Ok(()),
        Some(other) => {
            let message = format!("The requested version ({other}) does not exist");
            Err(Refusal::bad("NoSuchVersion", message))
        }
        None => Err(Refusal::missing("Version")),
    }
}

impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Self {
        let message = "The sandbox can't write its ledger";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}
