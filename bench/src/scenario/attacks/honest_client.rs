//! A client that obeys the rules while others don't, and measures how long it
//! waits.

use super::raw_connection;
use crate::report::{Samples, format_duration};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use testbed::ServerProcess;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Time between two requests of an honest client.
const REQUEST_PAUSE: Duration = Duration::from_millis(100);
/// A response that takes longer counts as none.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// An honest client that sends requests until it is stopped.
pub struct HonestClient {
    stop: CancellationToken,
    task: JoinHandle<ResponseTimes>,
}

/// Response times of an honest client.
#[derive(Default)]
pub struct ResponseTimes {
    times: Samples,
    /// Descriptions of responses other than 200, and of missing ones.
    failures: Vec<String>,
}

impl HonestClient {
    /// Starts a client at the loopback address `from` that is signed in as the
    /// administrator. It opens a new connection for every request.
    pub fn signed_in(from: Ipv4Addr, server: &ServerProcess) -> Self {
        let api = &server.api;
        Self::start(from, api.port, "/api/v1/jobs", &format!("Cookie: {}\r\n", api.cookie))
    }

    /// Starts a client at `from` that is not signed in and requests the sign-in
    /// page.
    pub fn signed_out(from: Ipv4Addr, server: &ServerProcess) -> Self {
        Self::start(from, server.api.port, "/sign-in", "")
    }

    fn start(from: Ipv4Addr, port: u16, path: &str, headers: &str) -> Self {
        let request =
            raw_connection::get_request(port, path, &format!("{headers}Connection: close\r\n"));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut waits = ResponseTimes::default();
            while !stopped.is_cancelled() {
                let start = Instant::now();
                let response = timeout(
                    RESPONSE_TIMEOUT,
                    raw_connection::send_and_receive(from, port, request.as_bytes()),
                )
                .await;
                waits.times.add(start.elapsed());
                match response {
                    Ok(Ok(answer)) if raw_connection::status_code(&answer) == 200 => {}
                    Ok(Ok(answer)) => {
                        let line = answer.lines().next().unwrap_or("an empty answer");
                        waits.failures.push(line.to_owned());
                    }
                    Ok(Err(error)) => waits.failures.push(format!("{error:#}")),
                    Err(_) => waits.failures.push(format!("no answer within {RESPONSE_TIMEOUT:?}")),
                }
                sleep(REQUEST_PAUSE).await;
            }
            waits
        });
        Self { stop, task }
    }

    /// Ends the client and returns what it measured.
    pub async fn stop(self) -> anyhow::Result<ResponseTimes> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

impl ResponseTimes {
    /// Returns whether there were responses, all were 200, and none took longer than
    /// `limit`.
    pub fn are_within(&self, limit: Duration) -> bool {
        self.times.len() > 0 && self.failures.is_empty() && self.times.percentile(100) <= limit
    }

    /// Describes the figures.
    pub fn describe(&self) -> String {
        let Self { times, failures } = self;
        let (p50, max) =
            (format_duration(times.percentile(50)), format_duration(times.percentile(100)));
        let failed = match failures.first() {
            None => "all were served".to_owned(),
            Some(first) => format!("{} were not served, the first: {first}", failures.len()),
        };
        format!("{} requests, p50 {p50}, max {max}; {failed}", times.len())
    }
}
