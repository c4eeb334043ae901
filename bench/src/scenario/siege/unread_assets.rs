//! Strangers at four addresses open very many connections, ask for the largest
//! asset on each, half of them with a made-up session, and read nothing.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection::{self, STRANGER},
    honest::Honest,
};
use crate::process::Meanwhile;
use anyhow::Context;
use futures_util::FutureExt;
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use tokio::time::sleep;

pub const ATTEMPT: Attempt = Attempt {
    name: "unread-assets",
    required: "Thousands of connections that ask for the wasm and read nothing keep little memory, \
               delay nobody, and are ended.",
    run: |setting| run(setting).boxed(),
};

/// Memory that the connections may take, bytes.
const MEMORY: u64 = 150_000_000;
/// Longest wait of an honest client; in the quick form of one whose server is
/// not optimised and shares its processors with other tests.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_QUICK: Duration = Duration::from_secs(5);
/// The connections are ended this long after the measurement, at the latest.
const GONE: Duration = Duration::from_secs(60);
/// Files that the server may open meanwhile for reasons of its own.
const OWN_FILES: usize = 16;

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let count = setting.choose(2_000, 200);
    let held = setting.choose(Duration::from_secs(60), Duration::from_secs(3));
    let meanwhile = setting.start().await?;
    let port = meanwhile.api.port;
    let wasm = largest_asset(&meanwhile).await?;
    let before = meanwhile.memory()?.now;
    let files = meanwhile.open_files()?;
    let signed_in = Honest::signed_in(Ipv4Addr::new(127, 0, 0, 9), &meanwhile);
    let stranger = Honest::stranger(Ipv4Addr::new(127, 0, 0, 10), &meanwhile);

    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        let from = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number / 2 % 4)?);
        let session = match number % 2 {
            0 => String::new(),
            _ => format!("Cookie: meanwhile_session=made-up-{number}\r\n"),
        };
        let headers = format!("Accept-Encoding: identity\r\n{session}");
        let request = connection::get(port, &wasm, &headers);
        let mut connection = connection::open(from, port).await?;
        connection::send(&mut connection, &request).await?;
        connections.push(connection);
    }
    let opened = Instant::now();
    let mut most = meanwhile.memory()?.now;
    while opened.elapsed() < held {
        sleep(Duration::from_millis(200)).await;
        most = most.max(meanwhile.memory()?.now);
    }
    let (signed_in, stranger) = (signed_in.stop().await?, stranger.stop().await?);

    let mut outcome = Outcome::default();
    let over = most.saturating_sub(before);
    outcome.require(
        over <= MEMORY,
        format!("{count} connections took {} MB of memory at most", over / 1_000_000),
    );
    for (who, waits) in [("somebody signed in", signed_in), ("a stranger elsewhere", stranger)] {
        outcome.require(
            waits.within(setting.choose(WAIT, WAIT_QUICK)),
            format!("{who}: {}", waits.describe()),
        );
    }
    if !setting.quick {
        let (gone, left) = until_gone(&meanwhile, files + OWN_FILES, GONE).await?;
        let left = left.saturating_sub(files);
        outcome.require(
            left <= OWN_FILES,
            format!("{left} files more than before are open {:.0} s later", gone.as_secs_f64()),
        );
        let after = meanwhile.memory()?.now.saturating_sub(before) / 1_000_000;
        outcome.figure("memory over before, at the end", format!("{after} MB"));
    }
    drop(connections);
    Ok(outcome)
}

/// Returns the path of the wasm, which the first page of somebody who is signed
/// in names.
async fn largest_asset(meanwhile: &Meanwhile) -> anyhow::Result<String> {
    let api = &meanwhile.api;
    let headers = format!("Cookie: {}\r\nConnection: close\r\n", api.cookie);
    let request = connection::get(api.port, "/", &headers);
    let page = connection::ask(STRANGER, api.port, request.as_bytes()).await?;
    let wasm = page.split(['"', '\'']).find(|word| word.contains(".wasm"));
    Ok(wasm.context("no page names the wasm: build the bundle with `cargo xtask web`")?.to_owned())
}

/// Waits until the server has at most `most` files open, at most for `limit`.
/// Returns how long that took and how many are open.
async fn until_gone(
    meanwhile: &Meanwhile,
    most: usize,
    limit: Duration,
) -> anyhow::Result<(Duration, usize)> {
    let start = Instant::now();
    loop {
        let open = meanwhile.open_files()?;
        if open <= most || start.elapsed() >= limit {
            return Ok((start.elapsed(), open));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
