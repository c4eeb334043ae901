//! A sales channel with a GraphQL API, as Shopify's: errors come with the status 200, the limit
//! counts points, and `productSet` creates or changes the product with a handle.
//!
//! It is no GraphQL engine. It knows the operations that its file sends, by their names, and
//! answers each in one shape.

mod answer;
mod catalogue;
mod operation;

use parking_lot::Mutex;
use std::{io, sync::Arc};

use axum::http::StatusCode;
use serde_json::{Value, json};

use answer::Cost;
use catalogue::{Catalogue, ProductInput};
use operation::{Identifier, Operation};

use crate::{
    channel::{FIND_LATENCY, ledger_unavailable, too_many_requests_response},
    environment::Environment,
    faults::Fault,
    ledger::AnswerError,
    limiter::{RecordedRequest, RequestDetails, ServiceLimiter},
    profiles::ChannelProfile,
    response::{CallOutcome, ServiceResponse},
    retry_after,
};

/// A sales channel with its limiter and its stored products.
pub struct GraphQlChannel {
    profile: ChannelProfile,
    environment: Arc<Environment>,
    limiter: ServiceLimiter,
    catalogue: Mutex<Catalogue>,
}

impl GraphQlChannel {
    /// Restores the channel from the ledger of earlier runs.
    pub fn new(profile: ChannelProfile, environment: Arc<Environment>) -> Self {
        let history = environment.ledger.service_history(profile.id);
        let limiter =
            ServiceLimiter::new(profile.id, profile.rate, &history, Arc::clone(&environment));
        let catalogue = Mutex::new(Catalogue::restore(profile.id, &history));
        Self { profile, environment, limiter, catalogue }
    }

    /// Handles `POST /graphql.json`. Stores a product after the latency, just before the
    /// response.
    pub async fn execute(self: Arc<Self>, body: impl AsRef<[u8]>) -> CallOutcome {
        let executed = self.try_execute(Operation::parse(body.as_ref())).await;
        executed.unwrap_or_else(|error| ledger_unavailable(self.profile.id, &error))
    }

    async fn try_execute(&self, operation: Result<Operation, String>) -> io::Result<CallOutcome> {
        let (action, sku, cost) = match &operation {
            Ok(operation) => (operation.name(), operation.sku(), operation.cost()),
            Err(_) => ("graphql", None, 1),
        };
        let request =
            self.limiter.record(RequestDetails { action, key: None, sku, cost: Some(cost) })?;
        match request.retry_at {
            Some(retry_at) if request.is_in_cooldown => {
                let format = self.profile.retry_after_format;
                let (value, _) = retry_after::header_value(format, request.at, retry_at);
                self.limiter
                    .record_response(request.index, StatusCode::TOO_MANY_REQUESTS.as_u16())?;
                return Ok(too_many_requests(value));
            }
            Some(_) => {
                let body = answer::error("THROTTLED", "Throttled");
                return self.respond(&request, body, Some(AnswerError::Throttled), cost, None);
            }
            None => {}
        }
        match operation {
            Err(message) => {
                let body = answer::error("BAD_REQUEST", &message);
                self.respond(&request, body, Some(AnswerError::Invalid), cost, Some(cost))
            }
            Ok(Operation::Check) => {
                let body = answer::data(json!({ "shop": { "name": self.profile.name } }));
                self.respond(&request, body, None, cost, Some(cost))
            }
            Ok(Operation::Find { handle, sku }) => {
                tokio::time::sleep(self.environment.scale_duration(FIND_LATENCY)).await;
                let found = self.catalogue.lock().find(&handle, &sku);
                let actual = if found.is_empty() { cost / 2 } else { cost };
                let body = answer::data(found.into_json());
                self.respond(&request, body, None, cost, Some(actual))
            }
            Ok(Operation::Set { identifier, input }) => {
                self.set_product(&request, &identifier, &input, cost).await
            }
        }
    }

    async fn set_product(
        &self,
        request: &RecordedRequest,
        identifier: &Identifier,
        input: &ProductInput,
        cost: u32,
    ) -> io::Result<CallOutcome> {
        let sku = input.first_sku().unwrap_or_default();
        let nth = self.catalogue.lock().count_write(sku);
        let is_enabled = self.environment.faults_enabled();
        let title = input.title().unwrap_or_default();
        let fault = self.environment.rng.fault(is_enabled, self.profile.id, sku, title, nth);
        if let Some(Fault::Cooldown(duration)) = fault {
            let format = self.profile.retry_after_format;
            let value = self.limiter.start_cooldown(request.index, duration, format)?;
            return Ok(too_many_requests(value));
        }
        tokio::time::sleep(self.environment.call_latency(&self.profile, sku, nth)).await;
        let (body, error) = match fault {
            Some(Fault::InternalError) => {
                let message = "Internal error. Looks like something went wrong on our end.";
                (answer::error("INTERNAL_SERVER_ERROR", message), Some(AnswerError::Internal))
            }
            Some(Fault::Reject(reason)) => rejected("INVALID_INPUT", reason),
            _ => match self.store_product(identifier, input)? {
                Ok(id) => (answer::product_set(&id), None),
                Err((code, reason)) => rejected(code, reason),
            },
        };
        if fault == Some(Fault::DropConnection) && error.is_none() {
            self.limiter.record_dropped(request.index)?;
            return Ok(CallOutcome::DropConnection);
        }
        self.respond(request, body, error, cost, Some(cost))
    }

    /// Creates or changes a product, and returns its id; or the code and the words of a user
    /// error.
    fn store_product(
        &self,
        identifier: &Identifier,
        input: &ProductInput,
    ) -> io::Result<Result<Box<str>, (&'static str, &'static str)>> {
        let mut catalogue = self.catalogue.lock();
        let change = match catalogue.prepare(identifier, input, self.environment.clock.now()) {
            Ok(change) => change,
            Err(user_error) => return Ok(Err(user_error)),
        };
        if let Some(effect) = change.effect_row() {
            self.environment.ledger.record_effect(self.profile.id, effect)?;
        }
        Ok(Ok(catalogue.apply(change)))
    }

    /// Responds with the status 200. `actual` is what the operation took of the `requested`
    /// points; `None` if it was not carried out.
    fn respond(
        &self,
        request: &RecordedRequest,
        mut body: Value,
        error: Option<AnswerError>,
        requested: u32,
        actual: Option<u32>,
    ) -> io::Result<CallOutcome> {
        let refund = actual.map_or(0, |actual| requested.saturating_sub(actual));
        self.limiter.record_answer(request.index, error, refund)?;
        let rate = self.environment.scale_rate(self.profile.rate);
        let cost = Cost { requested, actual, left: self.limiter.left(), rate };
        body["extensions"] = cost.into_json();
        Ok(CallOutcome::Respond(ServiceResponse::json(StatusCode::OK, body)))
    }
}

fn too_many_requests(retry_after: String) -> CallOutcome {
    CallOutcome::Respond(too_many_requests_response().with_retry_after(retry_after))
}

fn rejected(code: &str, reason: &str) -> (Value, Option<AnswerError>) {
    (answer::user_error(code, reason), Some(AnswerError::Rejected))
}
