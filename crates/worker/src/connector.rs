//! The outside, over HTTP: the same connectors for sandbox and real services.

pub mod channel;
pub mod ec2;

use crate::handler::{Answer, outcome};
use std::time::{Duration, SystemTime};

/// How long an account is closed that was called too often, and did not say.
pub(crate) const UNTOLD: Duration = Duration::from_secs(5);

/// The HTTP client that all connectors share. `limit`: of one call, well less
/// than a lease.
///
/// # Errors
/// The platform has no entropy or no sockets.
pub fn client(limit: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(limit)
        .connect_timeout(limit.min(Duration::from_secs(5)))
        .user_agent(concat!("meanwhile/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3):
/// seconds, or a date, which is meant by the service's own clock: its `Date`
/// says what that shows, and `now` serves where there is none. `None`: no wait
/// that can be read.
pub(crate) fn retry_after(
    headers: &reqwest::header::HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let wait = text(reqwest::header::RETRY_AFTER).and_then(|said| {
        said.parse().map(Duration::from_secs).ok().or_else(|| {
            let sent = text(reqwest::header::DATE).and_then(date).unwrap_or(now);
            Some(date(said)?.duration_since(sent).unwrap_or_default())
        })
    });
    wait.map(|wait| wait.min(Duration::from_secs(3600)))
}

/// What an error status asks for: 429, and 503 that says how long, close the
/// account; other 4xx than 408, 409, 425 fail at once; the rest is worth
/// another try. A bare 503 may be about this one request, and costs an
/// attempt: for nothing it could go on for ever, and hold up everyone.
pub(crate) fn refused(
    service: &str,
    status: u16,
    headers: &reqwest::header::HeaderMap,
    said: &str,
) -> Answer {
    let code = format!("http_{status}");
    let wait = match status {
        429 => Some(retry_after(headers, SystemTime::now()).unwrap_or(UNTOLD)),
        503 => retry_after(headers, SystemTime::now()),
        _ => None,
    };
    match (status, wait) {
        (_, Some(wait)) => {
            let message = format!("{service} is busy and asked us to wait ({status}).");
            Answer::Closed { outcome: outcome(code, message), wait }
        }
        (408 | 409 | 425 | 500.., None) => {
            let message = format!("{service} answered {status}.");
            Answer::Retry { outcome: outcome(code, message), unsure: false }
        }
        _ => Answer::Failed(outcome(code, format!("{service} refused it: {said}"))),
    }
}

/// Reads the body of an answer, of which at most `limit` bytes are borne.
///
/// # Errors
/// The answer to give where the service sends more, or does not send it whole:
/// the call may have had its effect.
pub(crate) async fn body(
    service: &str,
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, Answer> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| no_answer(service, &error))? {
        if body.len() + part.len() > limit {
            let message = format!("{service} answered with more than {limit} bytes.");
            return Err(Answer::Retry { outcome: outcome("large_answer", message), unsure: true });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// An answer that says nothing: the call may have had its effect.
pub(crate) fn unreadable(service: &str) -> Answer {
    let message = format!("{service} answered with what can't be read.");
    Answer::Retry { outcome: outcome("unreadable_answer", message), unsure: true }
}

/// A call without an answer: unless it was never sent, it may have had its
/// effect.
pub(crate) fn no_answer(service: &str, error: &reqwest::Error) -> Answer {
    let unsure = !error.is_connect();
    let (code, message) = if error.is_timeout() {
        ("timeout", format!("{service} did not answer in time."))
    } else if unsure {
        ("dropped", format!("{service} closed the connection before it answered."))
    } else {
        ("unreachable", format!("{service} can't be reached."))
    };
    Answer::Retry { outcome: outcome(code, message), unsure }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

    fn asks_for(wait: &'static str) -> HeaderMap {
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
            assert_eq!(retry_after(&asks_for(text), now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_date_is_meant_by_the_clock_of_whoever_says_it() {
        let mut headers = asks_for("Sun, 06 Nov 1994 08:49:47 GMT");
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:40 GMT"));
        // This machine's own clock is years ahead.
        assert_eq!(retry_after(&headers, SystemTime::now()), Some(Duration::from_secs(7)));
    }

    /// The answer to a request of which the service sends `bytes` for a body.
    async fn answered(bytes: usize) -> Result<usize, Answer> {
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
        let client = client(Duration::from_secs(30)).unwrap();
        body("Acme", client.get(url).send().await.unwrap(), 100_000).await.map(|body| body.len())
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_bound() {
        assert_eq!(answered(100_000).await, Ok(100_000));
        match answered(50_000_000).await {
            Err(Answer::Retry { outcome, unsure: true }) => {
                assert_eq!(outcome.message, "Acme answered with more than 100000 bytes.")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_status_says_what_to_do() {
        let headers = HeaderMap::new();
        for (status, retried) in [(400, false), (404, false), (408, true), (409, true), (500, true)]
        {
            let answer = refused("Acme", status, &headers, "no");
            assert_eq!(matches!(answer, Answer::Retry { .. }), retried, "{status}");
        }
    }

    #[test]
    fn an_account_closes_for_429_and_for_503_that_says_how_long() {
        let untold = HeaderMap::new();
        for (status, headers, expected) in [
            (429, asks_for("7"), Some(7)),
            (429, asks_for("soon"), Some(5)),
            (429, untold.clone(), Some(5)),
            (503, asks_for("7"), Some(7)),
            (503, asks_for("soon"), None),
            (503, untold, None),
        ] {
            match (refused("Acme", status, &headers, ""), expected) {
                (Answer::Closed { wait, .. }, Some(seconds)) => {
                    assert_eq!(wait, Duration::from_secs(seconds), "{status} {headers:?}");
                }
                (Answer::Retry { outcome, unsure: false }, None) => {
                    assert_eq!(outcome.message, "Acme answered 503.");
                }
                (other, _) => panic!("{status} {headers:?}: {other:?}"),
            }
        }
    }
}
