//! Requests of an [`ApiClient`](super::ApiClient), whose answers may be checked.

use crate::api_schemas::{ApiSchemas, ReceivedAnswer};
use reqwest::{RequestBuilder, Response, ResponseBuilderExt, header};
use serde::Serialize;
use std::{fmt::Display, time::Duration};

/// A request. Its methods are those of [`RequestBuilder`].
pub struct ApiRequest {
    request: RequestBuilder,
    /// Whether an answer that `docs/openapi.json` doesn't describe is a panic.
    checks_answer: bool,
}

impl ApiRequest {
    pub(super) fn new(request: RequestBuilder, checks_answer: bool) -> Self {
        Self { request, checks_answer }
    }

    fn map(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: change(self.request), ..self }
    }

    #[must_use]
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.map(|request| request.header(name.as_ref(), value.as_ref()))
    }

    #[must_use]
    pub fn bearer_auth(self, secret: impl Display) -> Self {
        self.map(|request| request.bearer_auth(secret))
    }

    #[must_use]
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.map(|request| request.json(body))
    }

    #[must_use]
    pub fn form(self, body: &(impl Serialize + ?Sized)) -> Self {
        self.map(|request| request.form(body))
    }

    #[must_use]
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.map(|request| request.body(body))
    }

    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Sends the request.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn send(self) -> reqwest::Result<Response> {
        if !self.checks_answer {
            return self.request.send().await;
        }
        let (client, request) = self.request.build_split();
        let request = request?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await?;
        if !path.starts_with("/api/v1/") {
            return Ok(response);
        }
        let (status, headers, url) =
            (response.status(), response.headers().clone(), response.url().clone());
        let body = response.bytes().await?;
        let media_type = headers.get(header::CONTENT_TYPE);
        let answer = ReceivedAnswer {
            method: method.as_str(),
            path: &path,
            status: status.as_u16(),
            media_type: media_type.and_then(|value| value.to_str().ok()).unwrap_or_default(),
            body: &body,
        };
        ApiSchemas::published().check(&answer).unwrap_or_else(|error| panic!("{error:#}"));
        let mut rebuilt = http::Response::builder().status(status).url(url).body(body).unwrap();
        *rebuilt.headers_mut() = headers;
        Ok(rebuilt.into())
    }
}

/// A request whose answer is checked.
impl From<RequestBuilder> for ApiRequest {
    fn from(request: RequestBuilder) -> Self {
        Self::new(request, true)
    }
}
