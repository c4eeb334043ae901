//! Several processes on shared servers: a change in one reaches all others.

use crate::support::BINARY;
use contract::{fact::Fact, websocket::CloseCode, websocket::ServerFrame};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, SandboxConfig, WebSocketClient, wait_until,
    websocket::SocketClosed,
};
use tokio::net::TcpStream;

type Socket = WebSocketClient<TcpStream>;

const TIMEOUT: Duration = Duration::from_secs(60);
const EC2_STARTS: &str = "/api/v1/jobs/ec2-starts";

async fn start_cluster() -> Cluster {
    let config = ClusterConfig {
        web: 2,
        workers: 2,
        lease_s: 60,
        small_disk: false,
        sandbox_config: SandboxConfig::without_faults(20.0),
    };
    let options = ClusterOptions { without_proxies: true, ..ClusterOptions::default() };
    Cluster::start_with(Path::new(BINARY), config, options).await.unwrap()
}

/// Opens a socket at the head of the journal.
async fn open_socket(api: &ApiClient) -> Socket {
    WebSocketClient::open_at_head(api).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_one_process_reach_all_others() {
    let mut cluster = start_cluster().await;
    let ada = cluster.signed_in_clients().await.unwrap();
    let mut ada_elsewhere = ApiClient::new(ada[1].port, ada[1].sandbox_port);
    ada_elsewhere.sign_in().await.unwrap();
    let bob = ada[0].invite_user("bob@example.com", ada[1].port).await.unwrap();
    let bob_on_first = ApiClient { port: ada[0].port, ..bob.clone() };

    // Two users start the same machine at once on different nodes: it is
    // started once, and both are notified.
    let machines = ada[0].get_json("/api/v1/instances").await.unwrap();
    let machine = machines["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|machine| machine["state"] == "stopped")
        .unwrap()["id"]
        .clone();
    let start = json!({ "instance_ids": [machine] });
    let (first, second) = tokio::join!(
        ada[0].post(EC2_STARTS).json(&start).send(),
        bob.post(EC2_STARTS).json(&start).send(),
    );
    for (api, launched) in [(&ada[1], first.unwrap()), (&bob_on_first, second.unwrap())] {
        assert_eq!(launched.status(), StatusCode::ACCEPTED);
        let job: Value = launched.json().await.unwrap();
        let path = format!("/api/v1/jobs/{}", job["job"]["id"].as_str().unwrap());
        wait_until("the start job finishes", async || {
            api.get_json(&path).await.unwrap()["state"] != "running"
        })
        .await;
        let inbox = api.get_json("/api/v1/notifications").await.unwrap();
        assert_eq!(inbox["items"].as_array().unwrap().len(), 1, "{inbox}");
    }
    // The ledger also lists requests that changed nothing: EC2 was called once.
    let ec2 = ada[0].ledger().await.unwrap().remove("ec2").unwrap();
    let started = ec2.effects.iter().filter(|effect| machine == effect.sku.as_str());
    assert_eq!(started.count(), 1, "{:?}", ec2.effects);

    // Two tabs on different nodes get the same facts.
    let mut tabs = [open_socket(&ada[0]).await, open_socket(&ada[1]).await];
    let read = ada[0].post("/api/v1/notifications/read").json(&json!({ "up_to": 1_000 }));
    assert_eq!(read.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let mut facts = Vec::new();
    for tab in &mut tabs {
        facts.push(next_fact(tab).await);
    }
    assert_eq!(facts[0], facts[1]);

    // Signing out on one node closes the session's socket on the other.
    let mut elsewhere = open_socket(&ada_elsewhere).await;
    let on_first = ApiClient { port: ada[0].port, ..ada_elsewhere };
    let ended = on_first.delete("/api/v1/session").send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    let closed = tokio::time::timeout(Duration::from_secs(10), close_code(&mut elsewhere));
    assert_eq!(
        closed.await.expect("the other node's socket stays open"),
        CloseCode::SignInRequired.code()
    );

    // A node that gets SIGTERM asks each of its sockets to reconnect; those of
    // the other node stay open.
    let mut sockets = Vec::new();
    for _ in 0..30 {
        sockets.push(open_socket(&ada[0]).await);
    }
    let mut other = open_socket(&ada[1]).await;
    let stopped = cluster.web[0].stop();
    let closed = async {
        for socket in &mut sockets {
            let closed = tokio::time::timeout(TIMEOUT, close_code(socket)).await.unwrap();
            assert_eq!(closed, CloseCode::GoingAway.code());
        }
    };
    let (stopped, ()) = tokio::join!(stopped, closed);
    stopped.unwrap();
    let launched = ada[1].post(EC2_STARTS).json(&start).send().await.unwrap();
    assert_eq!(launched.status(), StatusCode::ACCEPTED);
    next_fact(&mut other).await;
}

/// Returns the next fact and skips all other frames.
async fn next_fact(socket: &mut Socket) -> Fact {
    let end = tokio::time::Instant::now() + TIMEOUT;
    loop {
        // One deadline for all frames, because others arrive all the time.
        let next = tokio::time::timeout_at(end, socket.next_frame()).await;
        if let ServerFrame::Fact(fact) = next.expect("no fact arrives").unwrap().frame {
            return fact;
        }
    }
}

/// Returns the code with which the server closes the socket.
async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        if let Err(error) = socket.next_frame().await {
            return error.downcast::<SocketClosed>().unwrap().0.unwrap();
        }
    }
}
