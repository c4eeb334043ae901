//! Clients at many addresses send sign-ins with wrong passwords as fast as they
//! are answered.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    raw_connection,
};
use crate::{
    browser::{Browser, response_cookies},
    report::{Samples, format_duration},
};
use anyhow::ensure;
use futures_util::{FutureExt, future::try_join_all};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use testbed::api::{ADMIN_EMAIL, PASSWORD};
use tokio::time::sleep;

pub const ATTACK: Attack = Attack {
    name: "password-guessing",
    requirement: "A minute of wrong sign-ins uses little memory, and the owner can sign in on a known \
               device during it.",
    run: |context| run(context).boxed(),
};

/// Maximum memory that the attack leaves behind, bytes. Without a limit on the hashes that are
/// computed at once, 64 clients take 19 MB each. What the process has before depends on the build:
/// the pages of a debug binary count, too.
const MAX_GROWTH: u64 = 60_000_000;
/// Maximum wait of the owner on a known device.
const MAX_WAIT: Duration = Duration::from_secs(3);
/// The same in a quick run, which shares its machine with other work.
const MAX_WAIT_QUICK: Duration = Duration::from_secs(20);
const CLIENTS: u32 = 64;

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let length = context.full_or_quick(Duration::from_secs(60), Duration::from_secs(4));
    let server = context.start().await?;
    let port = server.api.port;
    let home = Ipv4Addr::new(127, 0, 0, 9);
    let first = Browser::new(home, port, "")?.sign_in(ADMIN_EMAIL, PASSWORD).await?;
    let known = Browser::new(home, port, &response_cookies(&first))?;
    let before = server.memory_usage()?.current;
    let end = Instant::now() + length;
    let strangers = (0..CLIENTS).map(async |client| {
        let mut answers: BTreeMap<u16, u32> = BTreeMap::new();
        let mut n = 0_u32;
        while Instant::now() < end {
            let [_, _, high, low] = n.to_be_bytes();
            let from = Ipv4Addr::new(127, 64 + u8::try_from(client)?, high, low);
            // Half of them use the owner's address, half an unknown one.
            let email = if n.is_multiple_of(2) {
                ADMIN_EMAIL.to_owned()
            } else {
                format!("{client}-{n}@example.com")
            };
            let body = format!(r#"{{"email":"{email}","password":"a wrong one"}}"#);
            let request = format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: \
                 application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let answer = raw_connection::send_and_receive(from, port, request.as_bytes()).await?;
            let status = raw_connection::status_code(&answer);
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
            let answer = known.sign_in(ADMIN_EMAIL, PASSWORD).await?;
            waits.add(start.elapsed());
            refused += u32::from(answer.status() != 204);
            sleep(Duration::from_millis(500)).await;
        }
        anyhow::Ok((waits, refused))
    };
    let (strangers, (waits, refused)) = tokio::try_join!(try_join_all(strangers), owner)?;
    let memory = server.memory_usage()?;
    let mut answers: BTreeMap<u16, u32> = BTreeMap::new();
    for (status, count) in strangers.into_iter().flatten() {
        *answers.entry(status).or_default() += count;
    }

    let mut outcome = AttackResult::default();
    outcome.require(
        memory.current <= before + MAX_GROWTH,
        format!("{} MB at the end, {} MB before", memory.current / 1_000_000, before / 1_000_000),
    );
    outcome.require(
        answers.keys().all(|status| matches!(status, 401 | 429 | 503)),
        format!("the wrong ones were answered {answers:?}"),
    );
    let (p50, max) =
        (format_duration(waits.percentile(50)), format_duration(waits.percentile(100)));
    outcome.require(
        refused == 0 && waits.percentile(100) <= context.full_or_quick(MAX_WAIT, MAX_WAIT_QUICK),
        format!(
            "the owner signed in {} times, p50 {p50}, max {max}; {refused} were refused",
            waits.len()
        ),
    );
    outcome.add_figure("memory at the peak", format!("{} MB", memory.peak / 1_000_000));
    Ok(outcome)
}
