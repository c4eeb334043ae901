//! The HTTP client of the exporters.

use super::{Error, settings::Signal};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::runtime::Handle;

/// Maximum size of a response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Sends requests on the runtime of tokio, whichever thread asks: the exporters have threads of
/// their own, without a runtime. It logs when the collector stops answering, and when it answers
/// again, because the exporters say nothing. Each signal has a client of its own: a collector may
/// accept one and refuse another.
#[derive(Debug)]
pub struct OtlpHttpClient {
    client: reqwest::Client,
    runtime: Handle,
    signal: Signal,
    is_failing: AtomicBool,
}

impl OtlpHttpClient {
    /// Creates the client of a signal, whose requests take at most `timeout`.
    ///
    /// # Errors
    /// The trusted authorities can't be read, or the platform has no entropy or no sockets.
    pub fn new(signal: Signal, timeout: Duration) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::https_config()?)
            .timeout(timeout)
            .user_agent(concat!("meanwhile/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, runtime: Handle::current(), signal, is_failing: AtomicBool::default() })
    }

    fn report(&self, failure: Option<String>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        let signal = self.signal.name();
        match failure {
            Some(error) if !was_failing => {
                tracing::warn!(signal, error, "telemetry could not be exported; it is dropped");
            }
            None if was_failing => tracing::info!(signal, "telemetry is exported again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for OtlpHttpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { send(&client, request).await }).await;
        let response = sent.map_err(HttpError::from).flatten();
        self.report(match &response {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(error_chain(error.as_ref())),
        });
        response
    }
}

async fn send(
    client: &reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request.map(reqwest::Body::from))?;
    let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(format!("more than {MAX_RESPONSE_BYTES} bytes were answered").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(body.freeze())?)
}

/// Returns an error with its causes: reqwest's own text does not say why.
fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_is_refused_is_logged_once_though_others_are_accepted() {
        let [traces, logs] = [Signal::Traces, Signal::Logs]
            .map(|signal| OtlpHttpClient::new(signal, Duration::from_secs(1)).unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(file.reopen().unwrap()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 {
                traces.report(None);
                logs.report(Some("404 Not Found".to_owned()));
            }
            logs.report(None);
        });
        let log = std::fs::read_to_string(file.path()).unwrap();
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        for (line, message) in lines.iter().zip(["could not be exported", "is exported again"]) {
            assert!(line.contains(message) && line.contains("signal=\"logs\""), "{log}");
        }
    }
}
