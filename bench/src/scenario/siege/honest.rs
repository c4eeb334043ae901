//! A client that keeps to the rules while others don't, and measures how long
//! it waits.

use super::connection;
use crate::{
    process::Meanwhile,
    report::{Samples, time},
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Time between two requests of an honest client.
const PAUSE: Duration = Duration::from_millis(100);
/// An answer that takes longer is counted as none.
const LIMIT: Duration = Duration::from_secs(20);

/// An honest client that asks again and again until it is stopped.
pub struct Honest {
    stop: CancellationToken,
    task: JoinHandle<Waits>,
}

/// How long the answers of an honest client took.
#[derive(Default)]
pub struct Waits {
    times: Samples,
    /// Answers that were not 200, or did not come.
    failures: Vec<String>,
}

impl Honest {
    /// Starts a client at the loopback address `from` that is signed in as the
    /// administrator. It opens a connection of its own for every request.
    pub fn signed_in(from: Ipv4Addr, meanwhile: &Meanwhile) -> Self {
        let api = &meanwhile.api;
        Self::start(from, api.port, "/api/v1/jobs", &format!("Cookie: {}\r\n", api.cookie))
    }

    /// Starts a client at `from` that is not signed in and asks for the page
    /// where one signs in.
    pub fn stranger(from: Ipv4Addr, meanwhile: &Meanwhile) -> Self {
        Self::start(from, meanwhile.api.port, "/sign-in", "")
    }

    fn start(from: Ipv4Addr, port: u16, path: &str, headers: &str) -> Self {
        let request = connection::get(port, path, &format!("{headers}Connection: close\r\n"));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut waits = Waits::default();
            while !stopped.is_cancelled() {
                let start = Instant::now();
                let asked = timeout(LIMIT, connection::ask(from, port, request.as_bytes())).await;
                waits.times.add(start.elapsed());
                match asked {
                    Ok(Ok(answer)) if connection::status(&answer) == 200 => {}
                    Ok(Ok(answer)) => {
                        let line = answer.lines().next().unwrap_or("an empty answer");
                        waits.failures.push(line.to_owned());
                    }
                    Ok(Err(error)) => waits.failures.push(format!("{error:#}")),
                    Err(_) => waits.failures.push(format!("no answer within {LIMIT:?}")),
                }
                sleep(PAUSE).await;
            }
            waits
        });
        Self { stop, task }
    }

    /// Ends the client and returns what it measured.
    pub async fn stop(self) -> anyhow::Result<Waits> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

impl Waits {
    /// Whether there were answers, each of them was good, and none took longer
    /// than `most`.
    pub fn within(&self, most: Duration) -> bool {
        self.times.len() > 0 && self.failures.is_empty() && self.times.at(100) <= most
    }

    /// A sentence with the figures.
    pub fn describe(&self) -> String {
        let Self { times, failures } = self;
        let (p50, max) = (time(times.at(50)), time(times.at(100)));
        let failed = match failures.first() {
            None => "each was served".to_owned(),
            Some(first) => format!("{} were not served, the first: {first}", failures.len()),
        };
        format!("{} requests, p50 {p50}, max {max}; {failed}", times.len())
    }
}
