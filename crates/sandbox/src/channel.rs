//! A sales channel with a REST API.

mod draft;
mod product_store;

use parking_lot::Mutex;
use std::{io, sync::Arc, time::Duration};

use axum::http::{HeaderName, StatusCode};
use serde_json::json;
use tokio::sync::watch;

use draft::ProductDraft;
use product_store::{KeyClaim, Product, ProductStore, Write, WriteResult, effect_row};

use crate::{
    clock::Micros,
    environment::Environment,
    faults::Fault,
    limiter::{RecordedRequest, ServiceLimiter},
    profiles::ChannelProfile,
    response::{CallOutcome, ServiceResponse},
    retry_after,
};

const POST: &str = "POST";
const PUT: &str = "PUT";
const GET: &str = "GET";
/// Time that looking up a product takes, at speed 1.
pub(crate) const FIND_LATENCY: Duration = Duration::from_millis(400);

/// A sales channel with its limiter and its stored products.
pub struct Channel {
    profile: ChannelProfile,
    environment: Arc<Environment>,
    limiter: ServiceLimiter,
    products: Mutex<ProductStore>,
}

impl Channel {
    /// Restores the channel from the ledger of earlier runs.
    pub fn new(profile: ChannelProfile, environment: Arc<Environment>) -> Self {
        let history = environment.ledger.service_history(profile.id);
        let limiter =
            ServiceLimiter::new(profile.id, profile.rate, &history, Arc::clone(&environment));
        let products = Mutex::new(ProductStore::restore(&history));
        Self { profile, environment, limiter, products }
    }

    /// Handles `POST /products`. Stores the product after the latency, just before the
    /// response. A channel with idempotency keys changes the product that has the SKU.
    pub async fn create_product(
        self: Arc<Self>,
        key: Option<String>,
        body: impl AsRef<[u8]>,
    ) -> CallOutcome {
        let draft = ProductDraft::parse(body.as_ref());
        let written = self.try_write_product(Target::Sku, key.as_deref(), draft).await;
        written.unwrap_or_else(|error| self.ledger_unavailable(&error))
    }

    /// Handles `PUT /products/{id}`. Changes the product after the latency, just before the
    /// response.
    pub async fn update_product(
        self: Arc<Self>,
        id: String,
        key: Option<String>,
        body: impl AsRef<[u8]>,
    ) -> CallOutcome {
        let draft = ProductDraft::parse(body.as_ref());
        let written = self.try_write_product(Target::Id(&id), key.as_deref(), draft).await;
        written.unwrap_or_else(|error| self.ledger_unavailable(&error))
    }

    /// Handles `GET /products?sku=…`.
    pub async fn find_products(self: Arc<Self>, sku: Option<String>) -> CallOutcome {
        let found = self.try_find_products(sku.as_deref()).await;
        found.unwrap_or_else(|error| self.ledger_unavailable(&error))
    }

    async fn try_write_product(
        &self,
        target: Target<'_>,
        key: Option<&str>,
        draft: Result<ProductDraft, ServiceResponse>,
    ) -> io::Result<CallOutcome> {
        let sku = draft.as_ref().ok().map(|draft| &*draft.sku);
        let request = self.limiter.record_request(target.method(), key, sku)?;
        if let Some(retry_at) = request.retry_at {
            return self.respond_too_many_requests(&request, retry_at);
        }
        let draft = match draft {
            Ok(draft) => draft,
            Err(response) => return self.respond(&request, response),
        };
        let nth = self.products.lock().count_write(&draft.sku);
        let known_key = key.filter(|_| self.profile.idempotency_keys);
        let first_response = match known_key
            .map(|key| self.products.lock().claim_key(key, draft.fingerprint))
        {
            None => None,
            Some(KeyClaim::New(sender)) => Some(sender),
            Some(KeyClaim::Completed(write)) => {
                return self.respond(&request, write_response(StatusCode::OK, &write, &draft.sku));
            }
            Some(KeyClaim::InFlight(first)) => {
                return self.wait_for_first_response(&request, first).await;
            }
            Some(KeyClaim::BodyMismatch) => return self.respond(&request, key_reused_response()),
        };
        let rng = &self.environment.rng;
        let fault = rng.fault(
            self.environment.faults_enabled(),
            self.profile.id,
            &draft.sku,
            &draft.title,
            nth,
        );
        if let Some(Fault::Cooldown(duration)) = fault {
            let value = self.limiter.start_cooldown(
                request.index,
                duration,
                self.profile.retry_after_format,
            )?;
            return Ok(CallOutcome::Respond(too_many_requests_response().with_retry_after(value)));
        }
        tokio::time::sleep(self.environment.call_latency(&self.profile, &draft.sku, nth)).await;
        let response = match fault {
            Some(Fault::Reject(reason)) => rejected_response(reason),
            Some(Fault::InternalError) => internal_error_response(),
            _ => self.write_product(target, known_key, &draft)?,
        };
        if let Some(first_response) = first_response {
            first_response.send_replace(Some(response.clone()));
        }
        if fault == Some(Fault::DropConnection) && response.status.is_success() {
            self.limiter.record_dropped(request.index)?;
            return Ok(CallOutcome::DropConnection);
        }
        self.respond(&request, response)
    }

    async fn try_find_products(&self, sku: Option<&str>) -> io::Result<CallOutcome> {
        let request = self.limiter.record_request(GET, None, sku)?;
        if let Some(retry_at) = request.retry_at {
            return self.respond_too_many_requests(&request, retry_at);
        }
        let Some(sku) = sku else {
            return self
                .respond(&request, malformed_response("The query parameter sku is missing"));
        };
        tokio::time::sleep(self.environment.scale_duration(FIND_LATENCY)).await;
        let items = self.products.lock().all_with_sku(sku);
        self.respond(&request, ServiceResponse::json(StatusCode::OK, json!({ "items": items })))
    }

    /// Stores or changes the product, unless the channel rejects it.
    fn write_product(
        &self,
        target: Target<'_>,
        key: Option<&str>,
        draft: &ProductDraft,
    ) -> io::Result<ServiceResponse> {
        let mut products = self.products.lock();
        let existing = match target {
            Target::Id(id) => match products.find(&draft.sku, id) {
                None => return Ok(no_such_product_response()),
                existing => existing,
            },
            Target::Sku if self.profile.idempotency_keys => products.first_with_sku(&draft.sku),
            Target::Sku if self.profile.rejects_duplicate_skus => {
                if let Some(existing) = products.first_with_sku(&draft.sku) {
                    let body = json!({ "error": "duplicate_sku", "id": existing.id });
                    return Ok(ServiceResponse::json(StatusCode::CONFLICT, body));
                }
                None
            }
            Target::Sku => None,
        };
        let write = match existing {
            None => {
                Write { id: products.next_id(self.profile.id).into(), result: WriteResult::Created }
            }
            Some(product) if product.content == draft.content => {
                Write { id: product.id.clone(), result: WriteResult::Unchanged }
            }
            Some(product) => Write { id: product.id.clone(), result: WriteResult::Updated },
        };
        let now = self.environment.clock.now();
        if write.result != WriteResult::Unchanged {
            let effect = effect_row(&write.id, draft, target.method(), now, key, write.result);
            self.environment.ledger.record_effect(self.profile.id, effect)?;
        }
        match write.result {
            WriteResult::Created => products.insert(Product {
                id: write.id.clone(),
                sku: draft.sku.clone(),
                content: Arc::clone(&draft.content),
                revision: 1,
                updated_at: now,
            }),
            WriteResult::Updated => {
                products.change(&draft.sku, &write.id, Arc::clone(&draft.content), now);
            }
            WriteResult::Unchanged => {}
        }
        if let Some(key) = key {
            products.complete_key(key, draft.fingerprint, write.clone());
        }
        let status = match write.result {
            WriteResult::Created => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        Ok(write_response(status, &write, &draft.sku))
    }

    /// Responds like the first request with the same key, once that has its response.
    async fn wait_for_first_response(
        &self,
        request: &RecordedRequest,
        mut first: watch::Receiver<Option<ServiceResponse>>,
    ) -> io::Result<CallOutcome> {
        let response = first.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
        let response = response.map_or_else(internal_error_response, |first| match first.status {
            StatusCode::CREATED => first.with_status(StatusCode::OK),
            _ => first,
        });
        self.respond(request, response)
    }

    fn respond_too_many_requests(
        &self,
        request: &RecordedRequest,
        retry_at: Micros,
    ) -> io::Result<CallOutcome> {
        let (value, _) =
            retry_after::header_value(self.profile.retry_after_format, request.at, retry_at);
        self.respond(request, too_many_requests_response().with_retry_after(value))
    }

    fn respond(
        &self,
        request: &RecordedRequest,
        response: ServiceResponse,
    ) -> io::Result<CallOutcome> {
        self.limiter.record_response(request.index, response.status.as_u16())?;
        Ok(CallOutcome::Respond(match self.profile.rate_limit_headers {
            true => self.with_rate_limit_headers(response, request),
            false => response,
        }))
    }

    /// Adds what was left when the request was counted.
    fn with_rate_limit_headers(
        &self,
        response: ServiceResponse,
        request: &RecordedRequest,
    ) -> ServiceResponse {
        let per_minute = self.environment.scale_rate(self.profile.rate).per_second * 60.0;
        let header = HeaderName::from_static;
        response
            .with_header(header("x-ratelimit-limit"), format!("{per_minute:.0}"))
            .with_header(header("x-ratelimit-remaining"), format!("{:.0}", request.left.floor()))
    }

    fn ledger_unavailable(&self, error: &io::Error) -> CallOutcome {
        ledger_unavailable(self.profile.id, error)
    }
}

/// Returns the answer of a channel whose ledger can't be written.
pub(crate) fn ledger_unavailable(channel: &str, error: &io::Error) -> CallOutcome {
    tracing::error!(%error, channel, "the sandbox can't write its ledger");
    let body = json!({ "error": "unavailable", "reason": "The ledger can't be written" });
    CallOutcome::Respond(ServiceResponse::json(StatusCode::SERVICE_UNAVAILABLE, body))
}

/// What a write is about.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// The product with the SKU in the body.
    Sku,
    /// The product with this id.
    Id(&'a str),
}

impl Target<'_> {
    const fn method(self) -> &'static str {
        match self {
            Self::Sku => POST,
            Self::Id(_) => PUT,
        }
    }
}

fn write_response(status: StatusCode, write: &Write, sku: &str) -> ServiceResponse {
    let body = json!({ "id": write.id, "sku": sku, "result": write.result });
    ServiceResponse::json(status, body)
}

fn no_such_product_response() -> ServiceResponse {
    let reason = "There is no product with this id and SKU";
    let body = json!({ "error": "no_such_product", "reason": reason });
    ServiceResponse::json(StatusCode::NOT_FOUND, body)
}

fn rejected_response(reason: &str) -> ServiceResponse {
    let body = json!({ "error": "rejected", "reason": reason });
    ServiceResponse::json(StatusCode::UNPROCESSABLE_ENTITY, body)
}

fn malformed_response(reason: &str) -> ServiceResponse {
    ServiceResponse::json(
        StatusCode::BAD_REQUEST,
        json!({ "error": "malformed", "reason": reason }),
    )
}

fn key_reused_response() -> ServiceResponse {
    let reason = "The idempotency key was used for another product";
    let body = json!({ "error": "idempotency_key_reused", "reason": reason });
    ServiceResponse::json(StatusCode::UNPROCESSABLE_ENTITY, body)
}

fn internal_error_response() -> ServiceResponse {
    ServiceResponse::json(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "internal" }))
}

pub(crate) fn too_many_requests_response() -> ServiceResponse {
    ServiceResponse::json(StatusCode::TOO_MANY_REQUESTS, json!({ "error": "too_many_requests" }))
}
