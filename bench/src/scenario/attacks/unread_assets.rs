//! Clients at four addresses open very many connections, request the largest asset
//! on each, half of them with a made-up session, and read nothing.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    honest_client::HonestClient,
    raw_connection::{self, ATTACKER_ADDRESS},
};
use anyhow::Context;
use futures_util::FutureExt;
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use testbed::ServerProcess;
use tokio::time::sleep;

pub const ATTACK: Attack = Attack {
    name: "unread-assets",
    requirement: "Thousands of connections that request the wasm and read nothing use little memory, \
               delay nobody, and are closed.",
    run: |context| run(context).boxed(),
};

/// Maximum growth of memory because of the connections, bytes.
const MAX_MEMORY: u64 = 150_000_000;
/// Maximum wait of an honest client.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Maximum wait in the quick form, whose server is not optimised and shares its
/// processors with other tests.
const MAX_WAIT_QUICK: Duration = Duration::from_secs(5);
/// Maximum time after the measurement until the connections are closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Files that the server may open in the meantime for other reasons.
const MAX_EXTRA_FILES: usize = 16;

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let count = context.full_or_quick(2_000, 200);
    let duration = context.full_or_quick(Duration::from_secs(60), Duration::from_secs(3));
    let server = context.start().await?;
    let port = server.api.port;
    let wasm = wasm_path(&server).await?;
    let before = server.memory_usage()?.current;
    let files = server.count_open_files()?;
    let signed_in = HonestClient::signed_in(Ipv4Addr::new(127, 0, 0, 9), &server);
    let stranger = HonestClient::signed_out(Ipv4Addr::new(127, 0, 0, 10), &server);

    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        let from = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number / 2 % 4)?);
        let session = match number % 2 {
            0 => String::new(),
            _ => format!("Cookie: meanwhile_session=made-up-{number}\r\n"),
        };
        let headers = format!("Accept-Encoding: identity\r\n{session}");
        let request = raw_connection::get_request(port, &wasm, &headers);
        let mut connection = raw_connection::open(from, port).await?;
        raw_connection::send(&mut connection, &request).await?;
        connections.push(connection);
    }
    let opened = Instant::now();
    let mut peak = server.memory_usage()?.current;
    while opened.elapsed() < duration {
        sleep(Duration::from_millis(200)).await;
        peak = peak.max(server.memory_usage()?.current);
    }
    let (signed_in, stranger) = (signed_in.stop().await?, stranger.stop().await?);

    let mut outcome = AttackResult::default();
    let growth = peak.saturating_sub(before);
    outcome.require(
        growth <= MAX_MEMORY,
        format!("{count} connections took {} MB of memory at most", growth / 1_000_000),
    );
    for (who, waits) in [("somebody signed in", signed_in), ("a stranger elsewhere", stranger)] {
        outcome.require(
            waits.are_within(context.full_or_quick(MAX_WAIT, MAX_WAIT_QUICK)),
            format!("{who}: {}", waits.describe()),
        );
    }
    if !context.quick {
        let (elapsed, left) =
            wait_until_closed(&server, files + MAX_EXTRA_FILES, CLOSE_TIMEOUT).await?;
        let left = left.saturating_sub(files);
        outcome.require(
            left <= MAX_EXTRA_FILES,
            format!("{left} files more than before are open {:.0} s later", elapsed.as_secs_f64()),
        );
        let after = server.memory_usage()?.current.saturating_sub(before) / 1_000_000;
        outcome.add_figure("growth of memory at the end", format!("{after} MB"));
    }
    drop(connections);
    Ok(outcome)
}

/// Returns the path of the wasm, which is read from the home page of a signed-in
/// user.
async fn wasm_path(server: &ServerProcess) -> anyhow::Result<String> {
    let api = &server.api;
    let headers = format!("Cookie: {}\r\nConnection: close\r\n", api.cookie);
    let request = raw_connection::get_request(api.port, "/", &headers);
    let page =
        raw_connection::send_and_receive(ATTACKER_ADDRESS, api.port, request.as_bytes()).await?;
    let wasm = page.split(['"', '\'']).find(|word| word.contains(".wasm"));
    Ok(wasm.context("no page names the wasm: build the bundle with `cargo xtask web`")?.to_owned())
}

/// Waits until the server has at most `max_files` files open, for `timeout` at most.
/// Returns how long that took and how many are open.
async fn wait_until_closed(
    server: &ServerProcess,
    max_files: usize,
    timeout: Duration,
) -> anyhow::Result<(Duration, usize)> {
    let start = Instant::now();
    loop {
        let open = server.count_open_files()?;
        if open <= max_files || start.elapsed() >= timeout {
            return Ok((start.elapsed(), open));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
