//! Four addresses open more connections than a server with 1,024 files can have:
//! most send part of a request head, some the whole head with a made-up session and
//! no body.

use super::{
    attack::{Attack, AttackContext, AttackResult},
    honest_client::HonestClient,
    raw_connection,
};
use futures_util::FutureExt;
use std::{net::Ipv4Addr, time::Duration};
use tokio::time::sleep;

pub const ATTACK: Attack = Attack {
    name: "connection-exhaustion",
    requirement: "Clients at other addresses are served while four addresses take every connection \
               that they can get.",
    run: |context| run(context).boxed(),
};

/// Open files that the server may have, which is the limit of most systems.
const OPEN_FILE_LIMIT: usize = 1_024;
/// Connections of each address: more than a fourth of [`OPEN_FILE_LIMIT`].
const CONNECTIONS_PER_ADDRESS: usize = 300;
/// Maximum wait of an honest client.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Maximum wait in the quick form, whose server is not optimised and shares its
/// processors with other tests.
const MAX_WAIT_QUICK: Duration = Duration::from_secs(5);

async fn run(context: &AttackContext) -> anyhow::Result<AttackResult> {
    let server = context.start_with_open_file_limit(OPEN_FILE_LIMIT).await?;
    let port = server.api.port;
    let mut connections = Vec::with_capacity(4 * CONNECTIONS_PER_ADDRESS);
    for number in 0..CONNECTIONS_PER_ADDRESS {
        for address in 2..6 {
            let mut connection =
                raw_connection::open(Ipv4Addr::new(127, 0, 0, address), port).await?;
            let request = match number % 5 {
                1.. => "GET / HTTP/1.1\r\nHo".to_owned(),
                0 => format!(
                    "POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
                     Origin: http://127.0.0.1:{port}\r\nContent-Length: 100\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\n\
                     Cookie: meanwhile_session=made-up-{address}-{number}\r\n\r\n"
                ),
            };
            raw_connection::send(&mut connection, &request).await?;
            connections.push(connection);
        }
    }
    // The server ends no request that has stalled for less than a second.
    sleep(Duration::from_millis(1_500)).await;
    let signed_in = HonestClient::signed_in(Ipv4Addr::new(127, 0, 0, 9), &server);
    let stranger = HonestClient::signed_out(Ipv4Addr::new(127, 0, 0, 10), &server);
    sleep(context.full_or_quick(Duration::from_secs(60), Duration::from_secs(3))).await;
    let (signed_in, stranger) = (signed_in.stop().await?, stranger.stop().await?);
    let mut outcome = AttackResult::default();
    for (who, waits) in [("somebody signed in", signed_in), ("a stranger elsewhere", stranger)] {
        outcome.require(
            waits.are_within(context.full_or_quick(MAX_WAIT, MAX_WAIT_QUICK)),
            format!("{who}: {}", waits.describe()),
        );
    }
    drop(connections);
    Ok(outcome)
}
