//! Four addresses open as many connections as a server with 1,024 files has,
//! and more: most of them send a part of a head, some the head of a request
//! with a made-up session and no body.

use super::{
    attempt::{Attempt, Outcome, Setting},
    connection,
    honest::Honest,
};
use futures_util::FutureExt;
use std::{net::Ipv4Addr, time::Duration};
use tokio::time::sleep;

pub const ATTEMPT: Attempt = Attempt {
    name: "four-addresses",
    required: "Whoever comes from elsewhere is served while four addresses take every connection \
               that they can get.",
    run: |setting| run(setting).boxed(),
};

/// Files of the server, as most systems allow them.
const FILES: usize = 1_024;
/// Connections of each address: more than a fourth of [`FILES`].
const EACH: usize = 300;
/// Longest wait of an honest client; in the quick form of one whose server is
/// not optimised and shares its processors with other tests.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_QUICK: Duration = Duration::from_secs(5);

async fn run(setting: &Setting) -> anyhow::Result<Outcome> {
    let meanwhile = setting.start_with_files(FILES).await?;
    let port = meanwhile.api.port;
    let mut connections = Vec::with_capacity(4 * EACH);
    for number in 0..EACH {
        for address in 2..6 {
            let mut connection = connection::open(Ipv4Addr::new(127, 0, 0, address), port).await?;
            let request = match number % 5 {
                1.. => "GET / HTTP/1.1\r\nHo".to_owned(),
                0 => format!(
                    "POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
                     Origin: http://127.0.0.1:{port}\r\nContent-Length: 100\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\n\
                     Cookie: meanwhile_session=made-up-{address}-{number}\r\n\r\n"
                ),
            };
            connection::send(&mut connection, &request).await?;
            connections.push(connection);
        }
    }
    // A request that has stalled for less than a second is not ended.
    sleep(Duration::from_millis(1_500)).await;
    let signed_in = Honest::signed_in(Ipv4Addr::new(127, 0, 0, 9), &meanwhile);
    let stranger = Honest::stranger(Ipv4Addr::new(127, 0, 0, 10), &meanwhile);
    sleep(setting.choose(Duration::from_secs(60), Duration::from_secs(3))).await;
    let (signed_in, stranger) = (signed_in.stop().await?, stranger.stop().await?);
    let mut outcome = Outcome::default();
    for (who, waits) in [("somebody signed in", signed_in), ("a stranger elsewhere", stranger)] {
        outcome.require(
            waits.within(setting.choose(WAIT, WAIT_QUICK)),
            format!("{who}: {}", waits.describe()),
        );
    }
    drop(connections);
    Ok(outcome)
}
