//! Strangers at many addresses send wrong sign-ins as fast as they are
//! answered.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection,
};
use crate::{
    api::{PASSWORD, WHO},
    browser::{Browser, cookies},
    report::{Samples, time},
};
use anyhow::ensure;
use futures_util::{FutureExt, future::try_join_all};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use tokio::time::sleep;

pub const ATTEMPT: Attempt = Attempt {
    name: "wrong-sign-ins",
    required: "A minute of wrong sign-ins keeps little memory, and the owner signs in on a known \
               device meanwhile.",
    run: |setting| run(setting).boxed(),
};

/// Memory of the process at the end, bytes.
const MEMORY: u64 = 150_000_000;
/// Longest wait of somebody on a known device.
const WAIT: Duration = Duration::from_secs(3);
const CLIENTS: u32 = 64;

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let length = setting.choose(Duration::from_secs(60), Duration::from_secs(4));
    let meanwhile = setting.start().await?;
    let port = meanwhile.api.port;
    let home = Ipv4Addr::new(127, 0, 0, 9);
    let first = Browser::new(home, port, "")?.sign_in(WHO, PASSWORD).await?;
    let known = Browser::new(home, port, &cookies(&first))?;
    let before = meanwhile.memory()?.now;
    let end = Instant::now() + length;
    let strangers = (0..CLIENTS).map(async |client| {
        let mut answers: BTreeMap<u16, u32> = BTreeMap::new();
        let mut n = 0_u32;
        while Instant::now() < end {
            let [_, _, high, low] = n.to_be_bytes();
            let from = Ipv4Addr::new(127, 64 + u8::try_from(client)?, high, low);
            // Half of them are about the owner, half about nobody.
            let email = if n.is_multiple_of(2) {
                WHO.to_owned()
            } else {
                format!("{client}-{n}@example.com")
            };
            let body = format!(r#"{{"email":"{email}","password":"a wrong one"}}"#);
            let request = format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: \
                 application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let answer = connection::ask(from, port, request.as_bytes()).await?;
            let status = connection::status(&answer);
            if matches!(status, 429 | 503) {
                ensure!(answer.contains("retry-after: "), "no Retry-After: {answer}");
            }
            *answers.entry(status).or_default() += 1;
            n += 1;
        }
        anyhow::Ok(answers)
    });
    let owner = async {
        let mut waits = Samples::default();
        let mut refused = 0;
        while Instant::now() < end {
            let start = Instant::now();
            let answer = known.sign_in(WHO, PASSWORD).await?;
            waits.add(start.elapsed());
            refused += u32::from(answer.status() != 204);
            sleep(Duration::from_millis(500)).await;
        }
        anyhow::Ok((waits, refused))
    };
    let (strangers, (waits, refused)) = tokio::try_join!(try_join_all(strangers), owner)?;
    let memory = meanwhile.memory()?;
    let mut answers: BTreeMap<u16, u32> = BTreeMap::new();
    for (status, count) in strangers.into_iter().flatten() {
        *answers.entry(status).or_default() += count;
    }

    let mut outcome = Outcome::default();
    outcome.require(
        memory.now <= MEMORY,
        format!("{} MB at the end, {} MB before", memory.now / 1_000_000, before / 1_000_000),
    );
    outcome.require(
        answers.keys().all(|status| matches!(status, 401 | 429 | 503)),
        format!("the wrong ones were answered {answers:?}"),
    );
    let (p50, max) = (time(waits.at(50)), time(waits.at(100)));
    outcome.require(
        refused == 0 && waits.at(100) <= WAIT,
        format!(
            "the owner signed in {} times, p50 {p50}, max {max}; {refused} were refused",
            waits.len()
        ),
    );
    outcome.figure("memory at the peak", format!("{} MB", memory.peak / 1_000_000));
    Ok(outcome)
}
