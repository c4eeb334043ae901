//! A client that listens as a tab does, and whose connection is cut.

use crate::{
    api::Api,
    page::Page,
    stream::{self, Since, Stream},
};
use anyhow::bail;
use contract::{api::Job, live::ServerFrame};
use rand::{RngExt, rngs::StdRng};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Cuts that every client sees at the least.
pub const CUTS: usize = 2;
/// A connection that says nothing for so long is given up.
const QUIET: Duration = Duration::from_secs(3);
const OPENED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// What a client ends with.
pub struct Heard {
    pub page: Page,
    pub cuts: usize,
}

/// How long the first connections live, each until its cut: some that every
/// job outlasts, and some that come while the fault does.
pub fn lives(dice: &mut StdRng) -> Vec<Duration> {
    let early = (0..CUTS).map(|_| 50..800);
    let late = (0..CUTS).map(|_| 200..4_000);
    early.chain(late).map(|range| Duration::from_millis(dice.random_range(range))).collect()
}

/// Listens to whichever node is there, the `first` at first, until the job
/// ends.
pub async fn listen(
    apis: &[Api],
    since: Since,
    job: Job,
    first: usize,
    lives: Vec<Duration>,
) -> anyhow::Result<Heard> {
    let mut page = Page::new(since, job);
    let (mut lives, mut cuts) = (lives.into_iter().peekable(), 0);
    for api in apis.iter().cycle().skip(first) {
        match hear(api, &mut page, lives.peek().copied()).await {
            Ok(Ended::Job) => break,
            Ok(Ended::Cut) => {
                cuts += 1;
                lives.next();
            }
            // It broke by itself, or its node is away.
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
    Ok(Heard { page, cuts })
}

enum Ended {
    Job,
    Cut,
}

/// One connection, for as long as it lives.
async fn hear(api: &Api, page: &mut Page, life: Option<Duration>) -> anyhow::Result<Ended> {
    let connection = stream::connect(api).await?;
    // Dropped, it resets instead of closing.
    connection.set_zero_linger()?;
    let cut = life.map(|life| Instant::now() + life);
    let mut stream = timeout(OPENED, Stream::over(connection, api, page.since.clone())).await??;
    loop {
        let quiet = Instant::now() + QUIET;
        let until = cut.map_or(quiet, |cut| cut.min(quiet));
        let Ok(received) = timeout_at(until, stream.next()).await else {
            if cut.is_some_and(|cut| cut <= until) {
                return Ok(Ended::Cut);
            }
            bail!("nothing for {QUIET:?}");
        };
        let frame = received?.frame;
        let lost = matches!(frame, ServerFrame::Welcome { recovered: false, .. });
        page.apply(frame);
        if lost {
            page.refetch(api).await?;
        }
        if page.ended() {
            return Ok(Ended::Job);
        }
    }
}
