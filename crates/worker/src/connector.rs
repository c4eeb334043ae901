//! HTTP clients of external services: the same for the sandbox and the real ones.

pub mod channel;
pub mod ec2;
mod traced;

use contract::api::{CooldownReason, Outcome};
use engine::store::AttemptError;
use std::time::{Duration, SystemTime};
use tls::TlsFailure;

/// Time after which a service whose certificate was refused is tried again: a handshake locks
/// no account, as refused credentials may.
pub(crate) const CERTIFICATE_COOLDOWN: Duration = Duration::from_secs(60);
/// Cooldown of an upstream that answers 429 without a wait that can be read.
pub(crate) const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);

/// Reason why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum BuildClientError {
    /// The authorities that the environment names can't be used.
    #[error(transparent)]
    Roots(#[from] tls::InvalidRoots),
    /// The platform has no entropy or no sockets.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Builds the HTTP client that all connectors share. `timeout` limits one call, and is
/// well below the lease. Servers of HTTPS URLs need a certificate from an authority of
/// [`tls::load_roots`].
///
/// # Errors
/// The authorities can't be read, or the platform has no entropy or no sockets.
pub fn build_client(timeout: Duration) -> Result<reqwest::Client, BuildClientError> {
    Ok(client_builder(timeout)?.build()?)
}

/// Returns what every client of a connector has in common.
fn client_builder(timeout: Duration) -> Result<reqwest::ClientBuilder, tls::InvalidRoots> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls::https_config()?)
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(5)))
        .user_agent(concat!("meanwhile/", env!("CARGO_PKG_VERSION"))))
}

/// Parses `Retry-After`
/// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)): seconds,
/// or a date. A date is relative to the service's own clock, which its `Date` header
/// shows; without that header it is relative to `now`. Returns at most one hour, and
/// `None` if no wait can be read.
pub(crate) fn parse_retry_after(
    headers: &reqwest::header::HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let wait = text(reqwest::header::RETRY_AFTER).and_then(|value| {
        value.parse().map(Duration::from_secs).ok().or_else(|| {
            let sent = text(reqwest::header::DATE).and_then(date).unwrap_or(now);
            Some(date(value)?.duration_since(sent).unwrap_or_default())
        })
    });
    wait.map(|wait| wait.min(Duration::from_secs(3600)))
}

/// Returns whether an error status leaves open whether the call has had its effect. Other
/// errors, 500 included, are the service's word that nothing was done. But a gateway that
/// gave up (502, 504) doesn't know what the service behind it does: [RFC 9110, section
/// 15.6](https://www.rfc-editor.org/rfc/rfc9110#section-15.6). Gateways also answer 408
/// when a request takes too long.
fn is_outcome_unknown(status: u16) -> bool {
    matches!(status, 408 | 502 | 504)
}

/// Returns the error for an error status. 429, and 503 with `Retry-After`, start a
/// cooldown; other 4xx than 408, 409 and 425 fail at once; the rest is retried, with an
/// unknown outcome where [`is_outcome_unknown`] says so. A 503 without `Retry-After` may
/// concern only this request, and costs an attempt: a retry for free could repeat for ever
/// and block everyone.
pub(crate) fn error_for_status(
    service: &str,
    status: u16,
    headers: &reqwest::header::HeaderMap,
    reason: &str,
) -> AttemptError {
    let code = format!("http_{status}");
    let retry_after = || parse_retry_after(headers, SystemTime::now());
    let cooldown = match status {
        429 => Some((CooldownReason::TooManyRequests, retry_after().unwrap_or(DEFAULT_COOLDOWN))),
        503 => retry_after().map(|wait| (CooldownReason::ServiceUnavailable, wait)),
        _ => None,
    };
    match (status, cooldown) {
        (_, Some((reason, wait))) => {
            let message = format!("{service} is busy and asked us to wait ({status}).");
            AttemptError::cooldown(Outcome::new(code, message), reason, wait)
        }
        (_, None) if is_outcome_unknown(status) => {
            let message = format!("{service} answered {status}.");
            AttemptError::retry_outcome_unknown(code, message)
        }
        (409 | 425 | 500.., None) => {
            AttemptError::retry(code, format!("{service} answered {status}."))
        }
        _ => AttemptError::failed(code, format!("{service} refused it: {reason}")),
    }
}

/// Reads the body of a response, up to `limit` bytes.
///
/// # Errors
/// The service sends more, or not all of it: the call may have had its effect.
pub(crate) async fn read_body(
    service: &str,
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, AttemptError> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| request_error(service, &error))?
    {
        if body.len() + chunk.len() > limit {
            let message = format!("{service} answered with more than {limit} bytes.");
            return Err(AttemptError::retry_outcome_unknown("response_too_large", message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns the error for a response that can't be read: the call may have had its
/// effect.
pub(crate) fn unreadable_response(service: &str) -> AttemptError {
    let message = format!("{service}'s response can't be read.");
    AttemptError::retry_outcome_unknown("unreadable_response", message)
}

/// Returns the error for a call without a response: unless it was never sent, it may
/// have had its effect. A refused certificate fails no task, because the tasks are right.
pub(crate) fn request_error(service: &str, error: &reqwest::Error) -> AttemptError {
    let outcome_unknown = !error.is_connect();
    let (code, message) = if let Some(failure) = TlsFailure::find(error) {
        let message = format!("{service} can't be reached over TLS: {failure}.");
        if failure.is_refused_certificate() {
            let outcome = Outcome::new("certificate_refused", message);
            let reason = CooldownReason::CertificateRefused;
            return AttemptError::cooldown(outcome, reason, CERTIFICATE_COOLDOWN);
        }
        ("tls", message)
    } else if error.is_timeout() {
        ("timeout", format!("{service} did not answer in time."))
    } else if outcome_unknown {
        ("connection_dropped", format!("{service} closed the connection before it answered."))
    } else {
        ("unreachable", format!("{service} can't be reached."))
    };
    AttemptError::Retry { outcome: Outcome::new(code, message), outcome_unknown }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
    use testbed::{HttpsServer, ServerCertificate, trusted_authority};

    fn retry_after_headers(wait: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(wait))])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("soon", None),
            ("999999", Some(3600)),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(parse_retry_after(&retry_after_headers(text), now), expected, "{text}");
        }
        assert_eq!(parse_retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_retry_after_date_is_relative_to_the_date_header() {
        let mut headers = retry_after_headers("Sun, 06 Nov 1994 08:49:47 GMT");
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:40 GMT"));
        // The clock of this machine is years ahead.
        assert_eq!(parse_retry_after(&headers, SystemTime::now()), Some(Duration::from_secs(7)));
    }

    /// Reads the response of a service that sends a body of `bytes` bytes.
    async fn read_body_of_size(bytes: usize) -> Result<usize, AttemptError> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b'x'; bytes]).await;
        });
        let client = build_client(Duration::from_secs(30)).unwrap();
        read_body("Acme", client.get(url).send().await.unwrap(), 100_000)
            .await
            .map(|body| body.len())
    }

    #[tokio::test]
    async fn a_response_body_is_read_up_to_the_size_limit() {
        assert_eq!(read_body_of_size(100_000).await, Ok(100_000));
        match read_body_of_size(50_000_000).await {
            Err(AttemptError::Retry { outcome, outcome_unknown: true }) => {
                assert_eq!(outcome.message, "Acme answered with more than 100000 bytes.")
            }
            other => panic!("{other:?}"),
        }
    }

    /// Calls a server with this certificate, and returns the outcome of a failure.
    async fn call_https(certificate: &ServerCertificate) -> Result<(), AttemptError> {
        let server = HttpsServer::start(certificate).await;
        let client = build_client(Duration::from_secs(10)).unwrap();
        let response = client.get(server.url()).send().await;
        response.map(drop).map_err(|error| request_error("Acme", &error))
    }

    #[tokio::test]
    async fn https_needs_a_certificate_that_is_trusted_valid_and_the_servers_own() {
        let test = "connector::tests::\
                    https_needs_a_certificate_that_is_trusted_valid_and_the_servers_own";
        let Some(authority) = trusted_authority(test) else { return };
        call_https(&authority.issue(&["127.0.0.1"])).await.unwrap();
        for (certificate, parts) in authority.refused_certificates() {
            match call_https(&certificate).await {
                Err(AttemptError::Cooldown { outcome, reason, outcome_unknown: false, .. }) => {
                    assert_eq!(reason, CooldownReason::CertificateRefused);
                    assert_eq!(outcome.code, "certificate_refused");
                    for part in parts {
                        assert!(outcome.message.contains(part), "no {part:?} in {outcome:?}");
                    }
                    assert!(!outcome.message.contains("Invalid"), "{outcome:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn error_statuses_are_retried_or_failed() {
        let headers = HeaderMap::new();
        for (status, expected) in [
            (400, None),
            (404, None),
            (408, Some(true)),
            (409, Some(false)),
            (500, Some(false)),
            (502, Some(true)),
            (503, Some(false)),
            (504, Some(true)),
        ] {
            let unknown = match error_for_status("Acme", status, &headers, "no") {
                AttemptError::Retry { outcome_unknown, .. } => Some(outcome_unknown),
                _ => None,
            };
            assert_eq!(unknown, expected, "{status}");
        }
    }

    #[test]
    fn a_cooldown_starts_on_429_and_on_503_with_retry_after() {
        let no_headers = HeaderMap::new();
        for (status, headers, expected) in [
            (429, retry_after_headers("7"), Some(7)),
            (429, retry_after_headers("soon"), Some(5)),
            (429, no_headers.clone(), Some(5)),
            (503, retry_after_headers("7"), Some(7)),
            (503, retry_after_headers("soon"), None),
            (503, no_headers, None),
        ] {
            match (error_for_status("Acme", status, &headers, ""), expected) {
                (AttemptError::Cooldown { reason, wait, .. }, Some(seconds)) => {
                    assert_eq!(reason.as_str(), format!("http_{status}"));
                    assert_eq!(wait, Duration::from_secs(seconds), "{status} {headers:?}");
                }
                (AttemptError::Retry { outcome, outcome_unknown: false }, None) => {
                    assert_eq!(outcome.message, "Acme answered 503.");
                }
                (other, _) => panic!("{status} {headers:?}: {other:?}"),
            }
        }
    }
}
