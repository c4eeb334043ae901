//! Limits the requests of one service by its rate and its cooldowns, and writes them to the ledger.

use parking_lot::Mutex;
use std::{io, ops::Range, sync::Arc, time::Duration};

use crate::{
    clock::{Micros, micros},
    environment::Environment,
    ledger::{AnswerError, RequestRow, ResponseRow, ServiceHistory},
    profiles::{RateLimit, RetryAfterFormat},
    retry_after::{SAFETY_MARGIN, header_value},
    token_bucket::TokenBucket,
    traceparent,
};

/// Admits or rejects the requests of one service, and writes them to the ledger.
pub struct ServiceLimiter {
    service: &'static str,
    environment: Arc<Environment>,
    state: Mutex<LimiterState>,
}

struct LimiterState {
    bucket: TokenBucket,
    /// Start and end of the last cooldown. The start of one before a restart is unknown and
    /// stands at zero, so that its requests count as late ones.
    cooldown: Range<Micros>,
}

/// What the ledger says about a request before it is answered.
#[derive(Clone, Copy)]
pub struct RequestDetails<'a> {
    /// The HTTP method, the action of the Query protocol, or the name of the GraphQL operation.
    pub action: &'a str,
    /// The `Idempotency-Key`; for an alarm its name.
    pub key: Option<&'a str>,
    /// The product's SKU.
    pub sku: Option<&'a str>,
    /// Points that it needs, where the limit counts points.
    pub cost: Option<u32>,
}

/// A request that is in the ledger.
pub struct RecordedRequest {
    /// Index that [`ServiceLimiter::record_response`] and the like take.
    pub index: usize,
    /// Time of its arrival.
    pub at: Micros,
    /// Time at which a rejected request may be repeated.
    pub retry_at: Option<Micros>,
    /// Whether it came during a cooldown.
    pub is_in_cooldown: bool,
    /// Requests or points that were left after it.
    pub left: f64,
}

impl ServiceLimiter {
    /// Continues from the limiter state in which the earlier runs of `history` ended.
    pub fn new(
        service: &'static str,
        rate: RateLimit,
        history: &ServiceHistory,
        environment: Arc<Environment>,
    ) -> Self {
        let mut bucket = TokenBucket::full(environment.scale_rate(rate));
        for (request, _) in &history.requests {
            // Whether it was admitted is known already; this only brings the bucket up to date.
            let _ = bucket.try_take(request.cost.map_or(1.0, f64::from), request.at_us);
        }
        let responses = history.requests.iter().filter_map(|(_, response)| *response);
        let cooldown_until = responses.filter_map(|response| response.cooldown_until_us).max();
        let state = Mutex::new(LimiterState { bucket, cooldown: 0..cooldown_until.unwrap_or(0) });
        Self { service, environment, state }
    }

    /// Counts a request and writes it to the ledger. One over the rate costs no token.
    ///
    /// # Errors
    /// The ledger can't be written.
    pub fn record_request(
        &self,
        action: &str,
        key: Option<&str>,
        sku: Option<&str>,
    ) -> io::Result<RecordedRequest> {
        self.record(RequestDetails { action, key, sku, cost: None })
    }

    /// Counts a request and writes it to the ledger, like
    /// [`record_request`](Self::record_request), by the points that it needs.
    ///
    /// # Errors
    /// The ledger can't be written.
    pub fn record(&self, request: RequestDetails<'_>) -> io::Result<RecordedRequest> {
        let RequestDetails { action, key, sku, cost } = request;
        let mut state = self.state.lock();
        let at = self.environment.clock.now();
        let token_at = state.bucket.try_take(cost.map_or(1.0, f64::from), at).err();
        let in_cooldown = state.cooldown.contains(&at);
        let row = RequestRow {
            at_us: at,
            action: action.into(),
            key: key.map(Into::into),
            sku: sku.map(Into::into),
            over_limit: token_at.is_some(),
            cost,
            cooldown_age_us: in_cooldown.then(|| at - state.cooldown.start),
            traceparent: traceparent::current(),
        };
        let index = self.environment.ledger.record_request(self.service, row)?;
        let retry_at = token_at.max(in_cooldown.then_some(state.cooldown.end));
        let left = state.bucket.left(at);
        Ok(RecordedRequest { index, at, retry_at, is_in_cooldown: in_cooldown, left })
    }

    /// Returns what is left of the limit now.
    pub fn left(&self) -> f64 {
        self.state.lock().bucket.left(self.environment.clock.now())
    }

    /// Records the answer to a GraphQL operation, and gives back the points that it did not
    /// need.
    ///
    /// # Errors
    /// The ledger can't be written.
    pub fn record_answer(
        &self,
        request_index: usize,
        error: Option<AnswerError>,
        refund: u32,
    ) -> io::Result<()> {
        self.state.lock().bucket.give_back(refund.into());
        let status = Some(200);
        self.record_end(ResponseRow { request_index, status, error, refund, ..Default::default() })
    }

    /// Records that a request got a response with `status`.
    ///
    /// # Errors
    /// The ledger can't be written.
    pub fn record_response(&self, request_index: usize, status: u16) -> io::Result<()> {
        let status = Some(status);
        self.record_end(ResponseRow { request_index, status, ..ResponseRow::default() })
    }

    /// Records that a request's connection was dropped.
    ///
    /// # Errors
    /// The ledger can't be written.
    pub fn record_dropped(&self, request_index: usize) -> io::Result<()> {
        self.record_end(ResponseRow { request_index, ..ResponseRow::default() })
    }

    /// Records a 429 and rejects all requests for `duration`, a time at speed 1. Returns the value
    /// of the Retry-After.
    ///
    /// # Errors
    /// The ledger can't be written.
    pub fn start_cooldown(
        &self,
        request_index: usize,
        duration: Duration,
        format: RetryAfterFormat,
    ) -> io::Result<String> {
        let mut state = self.state.lock();
        let now = self.environment.clock.now();
        let until =
            now + micros(self.environment.scale_duration(duration)).saturating_sub(SAFETY_MARGIN);
        let (value, named) = header_value(format, now, until);
        let start = if state.cooldown.contains(&now) { state.cooldown.start } else { now };
        state.cooldown = start..state.cooldown.end.max(named - SAFETY_MARGIN);
        let cooldown_until_us = Some(state.cooldown.end);
        let status = Some(429);
        self.record_end(ResponseRow {
            request_index,
            status,
            cooldown_until_us,
            ..ResponseRow::default()
        })?;
        Ok(value)
    }

    fn record_end(&self, response: ResponseRow) -> io::Result<()> {
        self.environment.ledger.record_response(self.service, response)
    }
}
