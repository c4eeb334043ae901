//! reqwest as the HTTP client of `aws-config`, so that the process has one TLS stack.

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use std::time::Duration;

/// Maximum size of a response about credentials, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// HTTP client of the requests for credentials: to the instance metadata, container, STS and
/// SSO endpoints.
#[derive(Clone, Debug)]
pub(crate) struct CredentialsHttpClient(pub reqwest::Client);

impl HttpClient for CredentialsHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeout = match (settings.connect_timeout(), settings.read_timeout()) {
            (None, None) => None,
            (connect, read) => Some(connect.unwrap_or_default() + read.unwrap_or_default()),
        };
        SharedHttpConnector::new(ReqwestConnector { client: self.0.clone(), timeout })
    }
}

#[derive(Debug)]
struct ReqwestConnector {
    client: reqwest::Client,
    /// `None` leaves the timeout of the client.
    timeout: Option<Duration>,
}

impl HttpConnector for ReqwestConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, timeout) = (self.client.clone(), self.timeout);
        HttpConnectorFuture::new(send(client, timeout, request))
    }
}

async fn send(
    client: reqwest::Client,
    timeout: Option<Duration>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body = body.bytes().ok_or_else(|| ConnectorError::user("the body is a stream".into()))?;
    let mut outgoing = client
        .request(parts.method, parts.uri.to_string())
        .headers(parts.headers)
        .body(body.to_vec());
    if let Some(timeout) = timeout {
        outgoing = outgoing.timeout(timeout);
    }
    let mut incoming = outgoing.send().await.map_err(connector_error)?;
    let mut body = Vec::new();
    while let Some(chunk) = incoming.chunk().await.map_err(connector_error)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(ConnectorError::other("the response is too large".into(), None));
        }
        body.extend_from_slice(&chunk);
    }
    let status = StatusCode::try_from(incoming.status().as_u16())
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in incoming.headers() {
        // A header that is no text says nothing about credentials.
        if let Ok(value) = value.to_str() {
            let _ = response.headers_mut().try_append(name.to_string(), value.to_owned());
        }
    }
    Ok(response)
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
