//! HTTP clients of external services: the same for the sandbox and the real ones.

pub mod channel;
pub mod ec2;

use contract::api::{CooldownReason, Outcome};
use engine::store::AttemptError;
use std::time::{Duration, SystemTime};

/// Cooldown of an upstream that answers 429 without a wait that can be read.
pub(crate) const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);

/// Builds the HTTP client that all connectors share. `timeout` limits one call, and is
/// well below the lease.
///
/// # Errors
/// The platform has no entropy or no sockets.
pub fn build_client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(5)))
        .user_agent(concat!("meanwhile/", env!("CARGO_PKG_VERSION")))
        .build()
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

/// Returns the error for an error status. 429, and 503 with `Retry-After`, start a
/// cooldown; other 4xx than 408, 409 and 425 fail at once; the rest is retried. A 503
/// without `Retry-After` may concern only this request, and costs an attempt: a retry
/// for free could repeat for ever and block everyone.
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
            AttemptError::Cooldown { outcome: Outcome::new(code, message), reason, wait }
        }
        (408 | 409 | 425 | 500.., None) => {
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
/// have had its effect.
pub(crate) fn request_error(service: &str, error: &reqwest::Error) -> AttemptError {
    let outcome_unknown = !error.is_connect();
    let (code, message) = if error.is_timeout() {
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

    #[test]
    fn error_statuses_are_retried_or_failed() {
        let headers = HeaderMap::new();
        for (status, retried) in [(400, false), (404, false), (408, true), (409, true), (500, true)]
        {
            let error = error_for_status("Acme", status, &headers, "no");
            assert_eq!(matches!(error, AttemptError::Retry { .. }), retried, "{status}");
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
