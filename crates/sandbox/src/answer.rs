//! What a service answers, before it is an HTTP response.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// The end of a call as its client sees it.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answer(Answer),
    /// The connection is closed without a word.
    Dropped,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    retry_after: Option<String>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Json(Value),
    Xml(String),
}

impl Answer {
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self { status, retry_after: None, body: Body::Json(body) }
    }

    pub fn xml(status: StatusCode, body: String) -> Self {
        Self { status, retry_after: None, body: Body::Xml(body) }
    }

    pub fn retry_after(self, value: String) -> Self {
        Self { retry_after: Some(value), ..self }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Body::Json(value) => (self.status, axum::Json(value)).into_response(),
            Body::Xml(text) => {
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
