//! Responses of a service, before they are HTTP responses.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
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
    headers: Vec<(HeaderName, String)>,
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
        Self { status, headers: Vec::new(), body: ResponseBody::Json(body) }
    }

    /// Returns an XML response.
    pub fn xml(status: StatusCode, body: String) -> Self {
        Self { status, headers: Vec::new(), body: ResponseBody::Xml(body) }
    }

    /// Sets the header `Retry-After`.
    pub fn with_retry_after(self, value: String) -> Self {
        self.with_header(header::RETRY_AFTER, value)
    }

    /// Adds a header.
    pub fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
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
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
