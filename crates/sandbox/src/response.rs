//! Responses of a service, before they are HTTP responses.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// Outcome of a call as its client sees it.
#[derive(Clone, Debug)]
pub enum CallOutcome {
    /// The client gets a response.
    Respond(ServiceResponse),
    /// The connection is closed without a response.
    DropConnection,
}

/// Status, headers and body of a response.
#[derive(Clone, Debug)]
pub struct ServiceResponse {
    /// HTTP status.
    pub status: StatusCode,
    retry_after: Option<String>,
    body: ResponseBody,
}

#[derive(Clone, Debug)]
enum ResponseBody {
    Json(Value),
    Xml(String),
}

impl ServiceResponse {
    /// Returns a JSON response.
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self { status, retry_after: None, body: ResponseBody::Json(body) }
    }

    /// Returns an XML response.
    pub fn xml(status: StatusCode, body: String) -> Self {
        Self { status, retry_after: None, body: ResponseBody::Xml(body) }
    }

    /// Sets the header `Retry-After`.
    pub fn with_retry_after(self, value: String) -> Self {
        Self { retry_after: Some(value), ..self }
    }

    /// Replaces the status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl IntoResponse for ServiceResponse {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            ResponseBody::Json(value) => (self.status, axum::Json(value)).into_response(),
            ResponseBody::Xml(text) => {
                let kind = [(header::CONTENT_TYPE, "text/xml;charset=UTF-8")];
                (self.status, kind, text).into_response()
            }
        };
        if let Some(value) = self.retry_after.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
