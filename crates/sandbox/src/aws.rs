//! Common parts of EC2 and CloudWatch: a rate limit, a latency, and the Query protocol.

use std::{io, sync::Arc, time::Duration};

use axum::http::StatusCode;

use crate::{
    environment::Environment,
    ledger::ServiceHistory,
    limiter::ServiceLimiter,
    profiles::RateLimit,
    query_protocol::{AwsError, QueryParams, request_id},
    response::{CallOutcome, ServiceResponse},
};

const LATENCY: Duration = Duration::from_millis(300);

/// A service of AWS.
pub trait AwsService: Send + Sync + Sized + 'static {
    /// Id in the ledger.
    const ID: &'static str;
    /// Version of the API that requests must name.
    const VERSION: &'static str;
    /// Rate limit at speed 1.
    const RATE: RateLimit;

    /// Restores the service from the ledger of earlier runs.
    fn restore(history: &ServiceHistory, environment: Arc<Environment>) -> Self;

    /// Returns a request's key and SKU for the ledger.
    fn ledger_key_and_sku(params: &QueryParams) -> (Option<String>, Option<String>);

    /// Executes the action and returns the inner XML of the response.
    ///
    /// # Errors
    /// Returns AWS's error for a request that is invalid or can't be executed.
    fn handle_action(&self, params: &QueryParams) -> Result<String, AwsError>;

    /// Returns the error of a request over the limit.
    fn throttling_error() -> AwsError;

    /// Returns the response of a successful action.
    fn success_response(action: &str, inner: &str, request_id: &str) -> ServiceResponse;

    /// Returns the response of a failed action.
    fn error_response(error: &AwsError, request_id: &str) -> ServiceResponse;
}

/// The HTTP endpoint of a service, with its limiter.
pub struct Endpoint<S> {
    service: S,
    environment: Arc<Environment>,
    limiter: ServiceLimiter,
}

impl<S: AwsService> Endpoint<S> {
    /// Restores the service and its limiter from the ledger.
    pub fn new(environment: Arc<Environment>) -> Self {
        let history = environment.ledger.service_history(S::ID);
        let service = S::restore(&history, Arc::clone(&environment));
        let limiter = ServiceLimiter::new(S::ID, S::RATE, &history, Arc::clone(&environment));
        Self { service, environment, limiter }
    }

    /// Handles one request. `params` is `None` if the body is not a form.
    pub async fn call(self: Arc<Self>, params: Option<QueryParams>) -> CallOutcome {
        let response = self.try_call(params).await.unwrap_or_else(|error| {
            tracing::error!(%error, service = S::ID, "the sandbox can't write its ledger");
            S::error_response(&AwsError::from(error), "unavailable")
        });
        CallOutcome::Respond(response)
    }

    async fn try_call(&self, params: Option<QueryParams>) -> io::Result<ServiceResponse> {
        let known_params = params.as_ref();
        let (key, sku) = known_params.map(S::ledger_key_and_sku).unwrap_or_default();
        let action = known_params.map(QueryParams::action).unwrap_or_default();
        let request = self.limiter.record_request(action, key.as_deref(), sku.as_deref())?;
        let result = match params.as_ref() {
            _ if request.retry_at.is_some() => Err(S::throttling_error()),
            Some(params) => {
                tokio::time::sleep(self.environment.scale_duration(LATENCY)).await;
                check_version::<S>(params).and_then(|()| self.service.handle_action(params))
            }
            None => Err(AwsError::bad_request("MalformedQueryString", "The body is not a form")),
        };
        let id = request_id(&self.environment.rng, S::ID, request.index);
        let response = match result {
            Ok(inner) => S::success_response(action, &inner, &id),
            Err(error) => S::error_response(&error, &id),
        };
        self.limiter.record_response(request.index, response.status.as_u16())?;
        Ok(response)
    }
}

fn check_version<S: AwsService>(params: &QueryParams) -> Result<(), AwsError> {
    match params.get("Version") {
        Some(version) if version == S::VERSION => Ok(()),
        Some(other) => {
            let message = format!("The requested version ({other}) does not exist");
            Err(AwsError::bad_request("NoSuchVersion", message))
        }
        None => Err(AwsError::missing_parameter("Version")),
    }
}

impl From<io::Error> for AwsError {
    fn from(_: io::Error) -> Self {
        let message = "The sandbox can't write its ledger";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}
