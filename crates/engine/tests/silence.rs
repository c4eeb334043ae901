//! A network that loses everything and closes nothing.
#![allow(clippy::unwrap_used)]

use engine::{
    clock::Steered,
    store::Store,
    testing::{Mode, PostgresNode, Proxy},
};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{pause, resume, timeout};

/// As many as one process may have.
const CONNECTIONS: usize = 16;
/// Of the real clock: nothing that gets through takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn connections_that_are_lost_are_given_up_and_made_anew() {
    let node = PostgresNode::start();
    let proxy = Proxy::start(node.port()).await.unwrap();
    let url = node.url().replace(&format!(":{}/", node.port()), &format!(":{}/", proxy.port));
    let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap();
    let ask = |count| join_all((0..count).map(|_| store.ping()));
    for answer in ask(CONNECTIONS).await {
        answer.unwrap();
    }

    proxy.set(Mode::Silent);
    // Nothing comes in any more, so that only limits of time are waited for.
    pause();
    for answer in ask(CONNECTIONS * 2).await {
        assert!(answer.unwrap_err().is_unreachable());
    }
    resume();

    proxy.lose();
    proxy.set(Mode::Carry);
    for answer in timeout(PATIENCE, ask(CONNECTIONS)).await.expect("it still waits") {
        answer.unwrap();
    }
}
