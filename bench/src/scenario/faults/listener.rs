//! A client that listens like a browser tab, and whose connection is cut.

use crate::job_page_model::JobPageModel;
use anyhow::bail;
use contract::{api::Job, websocket::ServerFrame};
use rand::{RngExt, rngs::StdRng};
use std::time::Duration;
use testbed::{
    ApiClient, WebSocketClient,
    websocket::{self, StreamPosition},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Minimum number of cuts of every client.
pub const MIN_CUTS: usize = 2;
/// A connection that is silent for this long is given up.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Final state of a client.
pub struct ListenerResult {
    pub page: JobPageModel,
    pub cuts: usize,
}

/// Returns how long the first connections last until they are cut: some end before
/// any job does, and others during the fault.
pub fn connection_lifetimes(rng: &mut StdRng) -> Vec<Duration> {
    let early = (0..MIN_CUTS).map(|_| 50..800);
    let late = (0..MIN_CUTS).map(|_| 200..4_000);
    early.chain(late).map(|range| Duration::from_millis(rng.random_range(range))).collect()
}

/// Follows a job until it finishes, through any node that answers, beginning with
/// the node at index `first`.
pub async fn follow_job(
    apis: &[ApiClient],
    position: StreamPosition,
    job: Job,
    first: usize,
    lifetimes: Vec<Duration>,
) -> anyhow::Result<ListenerResult> {
    let mut page = JobPageModel::new(position, job);
    let (mut lifetimes, mut cuts) = (lifetimes.into_iter().peekable(), 0);
    for api in apis.iter().cycle().skip(first) {
        match follow_one_connection(api, &mut page, lifetimes.peek().copied()).await {
            Ok(ConnectionEnd::JobFinished) => break,
            Ok(ConnectionEnd::Cut) => {
                cuts += 1;
                lifetimes.next();
            }
            // The connection broke, or its node is down.
            Err(_) => {}
        }
        sleep(RECONNECT_PAUSE).await;
    }
    Ok(ListenerResult { page, cuts })
}

enum ConnectionEnd {
    JobFinished,
    Cut,
}

/// Follows the job on one connection, until that ends or is cut.
async fn follow_one_connection(
    api: &ApiClient,
    page: &mut JobPageModel,
    lifetime: Option<Duration>,
) -> anyhow::Result<ConnectionEnd> {
    let connection = websocket::connect_tcp(api).await?;
    // Dropping it resets the connection instead of closing it.
    connection.set_zero_linger()?;
    let cut = lifetime.map(|lifetime| Instant::now() + lifetime);
    let mut stream =
        timeout(OPEN_TIMEOUT, WebSocketClient::open_on(connection, api, page.position.clone()))
            .await??;
    loop {
        let silent_until = Instant::now() + SILENCE_TIMEOUT;
        let until = cut.map_or(silent_until, |cut| cut.min(silent_until));
        let Ok(received) = timeout_at(until, stream.next_frame()).await else {
            if cut.is_some_and(|cut| cut <= until) {
                return Ok(ConnectionEnd::Cut);
            }
            bail!("no frame for {SILENCE_TIMEOUT:?}");
        };
        let frame = received?.frame;
        let lost = matches!(frame, ServerFrame::Welcome { recovered: false, .. });
        page.apply(frame);
        if lost {
            page.refetch(api).await?;
        }
        if page.is_finished() {
            return Ok(ConnectionEnd::JobFinished);
        }
    }
}
